# What is shown of the objects that the functions return.
test_that("each class is shown in a line, at length, in sum and as a data frame", {
  client <- shared_client()
  name <- paste0("e", runwire:::mint_id())
  experiment_id <- runwire_create_experiment(name, tags = c(team = "red"), client = client)
  run_id <- runwire_begin_run(experiment_id, run_name = "one", params = c(a = 1), client = client)
  other <- runwire_begin_run(experiment_id, run_name = "two", client = client)
  watch <- runwire_watch(c(run_id, other), client = client)
  runwire_watch_next(watch, 120)
  runwire_log_series("m", c(3, NaN, 1, 2), steps = 1:4, timestamps = 1000, run_id = run_id, client = client)
  event <- runwire_watch_next(watch, 120)
  runwire_log_metric("m", 5, run_id = other, client = client)

  expect_identical(format(watch), "<watch of 2 runs>")
  expect_output(print(watch), "<watch of 2 runs>", fixed = TRUE)
  close(watch)
  expect_identical(format(watch), "<watch of 2 runs, closed>")

  expect_identical(format(event), "<4 new points>")
  expect_output(print(event), "<4 new points>.*timestamp")
  expect_identical(as.data.frame(event), event$points)
  expect_identical(summary(event), data.frame(run_id = run_id, key = "m", count = 4L, step = 4, value = 2))

  expect_identical(runwire_get_run(run_id, fields = "name", client = client)$status, "")
  expect_identical(
    format(runwire_get_run(run_id, fields = "name", client = client)), paste0("<runwire run ", run_id, " one>")
  )
  expect_identical(runwire_search_runs(experiment_id, fields = "name", client = client)$status, c("", ""))

  history <- runwire_get_metric_history(run_id, "m", client = client)
  expect_identical(format(history), paste0("<history of m, run ", run_id, ": 4 points>"))
  expect_output(print(history), paste0(format(history), "\n.*step"))
  expect_identical(summary(history), data.frame(key = "m", count = 4L, nan_count = 1L, min = 1, max = 3, latest = 2))
  expect_identical(class(as.data.frame(history)), "data.frame")

  curve <- runwire_get_metric_curve(run_id, "m", client = client)
  expect_match(format(curve), paste0("^<curve of m, run ", run_id, ": [0-9]+ buckets?>$"))
  expect_output(print(curve), "<curve of m.*first_x")
  expect_identical(
    summary(curve),
    data.frame(key = "m", points = 4, buckets = nrow(curve), nan_count = 1, min = 1, max = 3, latest = 2)
  )
  expect_identical(class(as.data.frame(curve)), "data.frame")
  none <- summary(runwire_get_metric_curve(run_id, "none", client = client))
  expect_identical(none[c("buckets", "min", "latest")], data.frame(buckets = 0L, min = NA_real_, latest = NA_real_))

  runs <- runwire_search_runs(experiment_id, client = client)
  expect_identical(format(runs), "<2 runs>")
  expect_output(print(runs), "<2 runs>.*run_id")
  expect_identical(summary(runs), data.frame(metric = "m", runs = 2, min = 2, mean = 3.5, max = 5))
  expect_identical(class(as.data.frame(runs)), "data.frame")
  expect_identical(nrow(summary(runwire_search_runs(experiment_id, "params.a = 'x'", client = client))), 0L)

  run <- runwire_get_run(run_id, client = client)
  expect_identical(format(run), paste0("<runwire run ", run_id, " one: RUNNING>"))
  expect_output(print(run), "params:  a = 1")
  expect_identical(summary(run)$count, 4)
  expect_identical(as.data.frame(run)$params.a, "1")

  experiment <- runwire_get_experiment(experiment_id, client = client)
  expect_identical(format(experiment), paste0("<runwire experiment ", experiment_id, ": ", name, ">"))
  expect_output(print(experiment), "tags: team = red")
  expect_identical(summary(experiment), data.frame(key = "team", value = "red"))
  expect_identical(as.data.frame(experiment)$name, name)

  experiments <- runwire_search_experiments(paste0("name = '", name, "'"), client = client)
  expect_identical(format(experiments), "<1 experiment>")
  expect_output(print(experiments), "<1 experiment>.*tags.team")
  expect_identical(class(as.data.frame(experiments)), "data.frame")

  info <- runwire_server_info(client = client)
  expect_match(format(info), "^<runwire server .*: API v1, sqlite")
  expect_output(print(info), "limit +value")
  expect_identical(as.data.frame(info)$limit, names(info$limits))

  expect_match(format(runwire_retry()), "<runwire retry: initial = 0.1, .*connect_timeout = 3>")
  expect_output(print(runwire_retry()), "<runwire retry")
  runwire_close(client)
})

test_that("a part of a history or a curve is summed up and shown as one", {
  client <- shared_client()
  run_id <- runwire_begin_run("0", client = client)
  runwire_log_series("m", c(3, NaN, 1, 2), run_id = run_id, client = client)
  history <- runwire_get_metric_history(run_id, "m", client = client)
  last <- data.frame(key = "m", count = 2L, nan_count = 0L, min = 1, max = 2, latest = 2)
  for (part in list(history[3:4, ], utils::tail(history, 2), subset(history, step > 1), history[c(3, 4), 1:3])) {
    expect_identical(summary(part), last)
    expect_output(print(part), paste0("<history of m, run ", run_id, ": 2 points>.*step"))
  }
  expect_identical(class(history[c("step", "value")]), "data.frame")
  expect_null(attr(history["value"], "key"))
  expect_identical(history[, "value"], history$value)
  expect_identical(history[2, "step"], 1)
  history[1, "value"] <- 5
  expect_identical(summary(history)$max, 5)

  curve <- runwire_get_metric_curve(run_id, "m", max_points = 4, client = client)
  expect_identical(summary(curve)$points, 4)
  for (part in list(curve[nrow(curve), ], utils::tail(curve, 1))) {
    expect_identical(summary(part)[c("key", "points", "buckets")], data.frame(
      key = "m", points = as.numeric(curve$count[nrow(curve)]), buckets = 1L
    ))
    expect_output(print(part), "<curve of m, .*: 1 bucket>.*first_x")
  }
  expect_identical(class(curve[c("first_x", "first")]), "data.frame")
  expect_identical(curve[["first"]], curve$first)
  runwire_close(client)
})

test_that("a metric whose latest value is NaN is one that a run has", {
  client <- shared_client()
  experiment_id <- runwire_create_experiment(paste0("e", runwire:::mint_id()), client = client)
  run_ids <- replicate(4, runwire_begin_run(experiment_id, client = client))
  runwire_log_metrics(c(m = NaN, n = NaN), run_id = run_ids[1], client = client)
  runwire_log_metric("m", 1, run_id = run_ids[2], client = client)
  runwire_log_metric("m", 2, run_id = run_ids[3], client = client)
  found <- summary(runwire_search_runs(experiment_id, client = client))
  expect_identical(found, data.frame(
    metric = c("m", "n"), runs = c(3, 1), min = c(1, NA), mean = c(1.5, NA), max = c(2, NA)
  ))
  runwire_close(client)
})
