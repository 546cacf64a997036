# What arguments may be, and what is said of those that are something else.

test_that("durations are seconds, or R's own in their unit, and nothing else", {
  client <- shared_client(timeout = as.difftime(2, units = "mins"), shutdown_timeout = as.difftime(1, units = "hours"))
  expect_identical(client$settings$timeout, 120)
  expect_identical(client$spool$shutdown_timeout, 3600)
  retry <- runwire_retry(initial = as.difftime(1, units = "mins"), maximum = as.difftime(1, units = "hours"))
  expect_identical(retry$initial, 60)
  expect_identical(retry$maximum, 3600)
  run_id <- runwire_create_run("0", client = client)$run_id
  runwire_delete_run(run_id, client = client)
  expect_identical(runwire_purge(as.difftime(1, units = "days"), client = client)$runs, 0)
  runwire_restore_run(run_id, client = client, timeout = as.difftime(1, units = "mins"))
  for (bad in list(Sys.time(), Sys.Date(), "1", NULL, c(1, 2), factor(1), TRUE)) {
    expect_error(runwire_purge(bad, client = client), "older_than", class = "runwire_type_error")
    expect_error(runwire_retry(initial = bad), "initial", class = "runwire_type_error")
  }
  for (bad in list(Sys.time(), Sys.Date(), "1", c(1, 2))) {
    expect_error(runwire_flush(bad, client), "timeout", class = "runwire_type_error")
    expect_error(rpc_get_server_info(timeout = bad, client = client), "timeout", class = "runwire_type_error")
    expect_error(
      rpc_get_metric_history(run_id, on_message = identity, timeout = bad, client = client), "timeout",
      class = "runwire_type_error"
    )
  }
  expect_error(runwire_purge(-1, client = client), "older_than", class = "runwire_value_error")
  expect_error(runwire_flush(0, client), "timeout", class = "runwire_value_error")
  expect_error(runwire_flush(NaN, client), "timeout", class = "runwire_value_error")
  runwire_close(client)
})

test_that("times are R's own or milliseconds, and steps are whole numbers of no class", {
  client <- shared_client()
  run_id <- runwire_begin_run("0", start_time = as.Date("2024-02-29"), client = client)
  moment <- as.POSIXct("2024-02-29 12:30:00.25", tz = "UTC")
  ms <- round(as.numeric(moment) * 1000)
  day <- as.Date("2024-02-29")
  day_ms <- as.numeric(day) * 86400000
  times <- list(
    moment, as.POSIXlt(moment), ms, structure(1709209800L, class = c("POSIXct", "POSIXt")), day,
    structure(as.integer(day), class = "Date")
  )
  for (i in seq_along(times)) {
    runwire_log_metric("point", 1, step = i, timestamp = times[[i]], run_id = run_id, client = client)
    runwire_log_metrics(c(row = 1), step = i, timestamp = times[[i]], run_id = run_id, client = client)
    runwire_log_series("series", 1, steps = i, timestamps = times[[i]], run_id = run_id, client = client)
    frame <- data.frame(key = "frame", value = 1, step = i)
    frame$timestamp <- times[[i]]
    runwire_log_batch(frame, run_id = run_id, client = client)
    block <- runwire_metric_block("block", 1, steps = i, timestamps = times[[i]])
    runwire_log_batch(block, run_id = run_id, client = client)
  }
  expected <- c(ms, ms, ms, 1709209800000, day_ms, day_ms)
  for (key in c("point", "row", "series", "frame", "block")) {
    expect_identical(runwire_get_metric_history(run_id, key, client = client)$timestamp, expected, info = key)
  }
  run <- runwire_finish_run(run_id, end_time = as.POSIXlt(moment), client = client)
  expect_equal(as.numeric(run$start_time), day_ms / 1000)
  expect_equal(as.numeric(run$end_time), ms / 1000)
  expect_equal(as.numeric(rpc_create_run(experiment_id = "0", start_time = day, client = client)$run$start_time), day_ms / 1000)
  log <- function(...) runwire_log_metric("m", 1, ..., run_id = run_id, client = client)
  for (bad in list(as.difftime(1, units = "days"), factor("1"), structure(1, class = "mine"), as.Date(NA))) {
    expect_error(log(timestamp = bad), "timestamp", class = "runwire_type_error")
    expect_error(runwire_begin_run("0", start_time = bad, client = client), "start_time", class = "runwire_type_error")
  }
  expect_error(log(timestamp = as.Date(1e9, origin = "1970-01-01")), "timestamp", class = "runwire_value_error")
  for (bad in list(Sys.time(), Sys.Date(), as.difftime(1, units = "days"), factor("1"), structure(1, class = "mine"))) {
    expect_error(log(step = bad), "step must be a whole number, not of the class", class = "runwire_type_error")
    expect_error(
      runwire_log_series("m", 1, steps = bad, run_id = run_id, client = client), "step",
      class = "runwire_type_error"
    )
    expect_error(
      runwire_get_metric_history(run_id, "m", min_step = bad, client = client), "min_step",
      class = "runwire_type_error"
    )
  }
  runwire_close(client)
})

test_that("times and durations are no values", {
  client <- shared_client()
  run_id <- runwire_begin_run("0", client = client)
  for (bad in list(Sys.time(), as.POSIXlt(Sys.time()), Sys.Date(), as.difftime(1, units = "mins"))) {
    expect_error(runwire_log_metrics(list(m = bad), run_id = run_id, client = client), class = "runwire_type_error")
    expect_error(runwire_log_metric("m", bad, run_id = run_id, client = client), class = "runwire_type_error")
    expect_error(runwire_log_series("m", bad, run_id = run_id, client = client), class = "runwire_type_error")
    expect_error(runwire_log_batch(list(m = bad), run_id = run_id, client = client), class = "runwire_type_error")
  }
  for (bad in list(as.difftime(1, units = "mins"), Sys.Date(), data.frame(a = Sys.time()), data.frame(a = factor(1)))) {
    expect_error(runwire_metric_block("m", bad, steps = 1), class = "runwire_type_error")
  }
  # A class that leaves numbers what they are is taken.
  runwire_log_series("t", stats::ts(c(1, 2)), run_id = run_id, client = client)
  expect_identical(runwire_get_metric_history(run_id, "t", client = client)$value, c(1, 2))
  runwire_close(client)
})

test_that("pages hold 1,000 by default, and most results are a whole number", {
  client <- shared_client()
  id <- runwire_create_experiment(paste0("e", runwire:::mint_id()), client = client)
  for (i in 1:150) runwire_begin_run(id, client = client)
  page <- runwire_search_runs_page(id, client = client)
  expect_length(page$items, 150)
  expect_null(page$next_page_token)
  expect_identical(formals(runwire_search_experiments_page)$page_size, 1000)
  searches <- list(
    function(most) runwire_search_runs(id, max_results = most, client = client),
    function(most) runwire_search_runs(experiment_names = "there is none", max_results = most, client = client),
    function(most) runwire_search_experiments(max_results = most, client = client)
  )
  for (search in searches) {
    for (bad in list("a", NA, NULL, c(1, 2), TRUE)) {
      expect_error(search(bad), "max_results must be", class = "runwire_type_error")
    }
    for (bad in list(-1, 1.5, -Inf)) expect_error(search(bad), "max_results must be", class = "runwire_value_error")
    expect_identical(nrow(search(0)), 0L)
  }
  expect_identical(nrow(runwire_search_runs(id, max_results = Inf, client = client)), 150L)
  expect_error(runwire_search_runs_page(id, page_size = "a", client = client), "page_size", class = "runwire_type_error")
  expect_error(runwire_search_runs_page(id, page_size = NA, client = client), "page_size", class = "runwire_type_error")
  runwire_close(client)
})

test_that("params and tags are taken as data frames of keys and values, and as no others", {
  client <- shared_client()
  params <- data.frame(key = factor(c("alpha", "kind")), value = c("0.1", "lm"))
  run <- runwire_create_run("0", params = params, client = client)
  expect_identical(run$params, c(alpha = "0.1", kind = "lm"))
  tags <- data.frame(value = c(1.5, 2), key = c("a", "b"))
  runwire_log_batch(params = data.frame(key = "n", value = 3L), tags = tags, run_id = run$run_id, client = client)
  found <- runwire_get_run(run$run_id, client = client)
  expect_identical(found$params[["n"]], "3")
  expect_identical(found$tags, c(a = "1.5", b = "2"))
  for (bad in list(data.frame(a = 1), data.frame(key = "a", value = 1, step = 1), data.frame(name = "a", value = 1))) {
    expect_error(
      runwire_log_params(bad, run_id = run$run_id, client = client), "columns key and value",
      class = "runwire_type_error"
    )
    expect_error(
      runwire_set_tags(bad, run_id = run$run_id, client = client), "columns key and value",
      class = "runwire_type_error"
    )
  }
  expect_error(
    runwire_log_params(data.frame(key = NA, value = 1), run_id = run$run_id, client = client),
    class = "runwire_type_error"
  )
  runwire_log_params(data.frame(key = character(), value = character()), run_id = run$run_id, client = client)
  runwire_close(client)
})
