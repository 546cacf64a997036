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

test_that("what is no client is refused by every function that takes one", {
  id <- "0198c5a4d7b27d0a8f3b1c2d3e4f5a6b"
  arguments <- list(
    run_id = id, run_ids = id, key = "m", keys = "m", value = 1, values = 1, metrics = c(m = 1), params = c(p = 1), tags = c(t = 1),
    experiment_id = "0", experiment_ids = "0", name = "x", datasets = list(runwire_dataset("d", "1")),
    dataset = runwire_dataset("d", "1"), on_event = identity, on_message = identity, method = "/x/y", requests = list(),
    expr = NULL
  )
  names <- grep("^(runwire|rpc)_", getNamespaceExports("runwire"), value = TRUE)
  takers <- Filter(function(name) "client" %in% names(formals(getExportedValue("runwire", name))), names)
  expect_gt(length(takers), 60)
  for (name in takers) {
    f <- getExportedValue("runwire", name)
    given <- arguments[intersect(names(arguments), names(formals(f)))]
    for (bad in list("x", 5, list())) {
      expect_error(
        do.call(f, c(given, list(client = bad))), "client must be made by runwire_connect",
        class = "runwire_type_error", info = name
      )
    }
  }
  expect_error(runwire_with_run(1, client = "x"), "client must be", class = "runwire_type_error")
  expect_error(runwire_watch_next(5), "watch must be made by runwire_watch", class = "runwire_type_error")
  expect_error(runwire_watch_metrics(id, 5), "on_event", class = "runwire_type_error")
  expect_error(rpc_watch_metrics(on_message = 5, client = shared_client()), "on_message", class = "runwire_type_error")
})

test_that("errors name things as who reads them knows them", {
  client <- shared_client()
  run_id <- runwire_begin_run("0", client = client)
  logs <- list(
    function() runwire_log_metric("", 1, run_id = run_id, client = client),
    function() runwire_log_metrics(stats::setNames(1, ""), run_id = run_id, client = client),
    function() runwire_log_batch(data.frame(key = "", value = 1), run_id = run_id, client = client)
  )
  for (log in logs) {
    error <- expect_error(log(), "^key: must not be empty$", class = "runwire_invalid_field")
    # In the server's words it is the same field in all languages.
    expect_identical(error$violations$field, "blocks[0].keys[0]")
    expect_identical(error$violations$description, "must not be empty")
  }
  expect_error(
    runwire_log_metric("m", 1, timestamp = -1, run_id = run_id, client = client), "^timestamp: must be 0 or later$",
    class = "runwire_invalid_field"
  )
  expect_error(
    runwire_log_series("m", 1, steps = 1:2, run_id = run_id, client = client),
    "as many steps as values, and there are 2 for 1", class = "runwire_value_error"
  )
  runwire_close(client)
  lonely <- new_client("/nonexistent-folder", retry = runwire_retry(connect_timeout = 0.1))
  expect_error(
    runwire_server_info(client = lonely), "`runwire server --data-dir /nonexistent-folder`",
    class = "runwire_server_unavailable"
  )
  expect_identical(runwire:::absolute("/nonexistent"), "/nonexistent")
  away <- new_client("127.0.0.1:1", retry = runwire_retry(connect_timeout = 0.1))
  runwire_begin_run("0", client = away)
  expect_error(runwire_flush(client = away), "1 frame waits in .*delivers it later")
})

test_that("a curve without points, or without numbers, can be drawn", {
  client <- shared_client()
  run_id <- runwire_begin_run("0", client = client)
  runwire_log_series("nan", c(NaN, NaN), run_id = run_id, client = client)
  runwire_log_series("one", 1, run_id = run_id, client = client)
  runwire_log_series("many", 1:100, run_id = run_id, client = client)
  grDevices::pdf(NULL)
  withr_defer(grDevices::dev.off(), environment())
  for (key in c("missing", "nan", "one", "many")) {
    curve <- runwire_get_metric_curve(run_id, key, max_points = 5, client = client)
    expect_silent(plot(curve))
    expect_silent(plot(curve, main = "title", xlim = c(0, 5)))
  }
  runwire_close(client)
})

test_that("numbers as params have all their digits, with names and whatever the decimal mark", {
  text <- function(value) unname(runwire:::as_pairs("param", list(p = value)))
  expect_identical(text(c(wt = 1 / 3)), "0.3333333333333333")
  expect_identical(text(c(n = 1e5)), "100000")
  expect_identical(text(matrix(0.1)), "0.1")
  old <- options(OutDec = ",")
  withr_defer(options(old), environment())
  for (value in list(0.1, c(wt = 1 / 3), 1e300, 123456.789, 3)) expect_identical(as.numeric(text(value)), unname(value))
})

test_that("a data set's digest is that of its contents, however R holds them", {
  digest <- function(...) runwire_dataset_from_data_frame(data.frame(...), "d")$digest
  # The one is a range that knows its ends, the other three numbers.
  expect_identical(digest(a = 1:3), digest(a = c(1L, 2L, 3L)))
  latin <- "caf\xe9"
  Encoding(latin) <- "latin1"
  expect_identical(digest(a = latin), digest(a = enc2utf8(latin)))
  expect_identical(digest(a = factor(latin)), digest(a = factor(enc2utf8(latin))))
  expect_false(digest(a = 1:3) == digest(a = 2:4))
  script <- new_script(
    "cat('digest', runwire_dataset_from_data_frame(data.frame(a = c('x', 'y')), 'd')$digest, '\\n')",
    LC_ALL = "C"
  )
  script$end()
  expect_identical(trimws(script$told("digest")), digest(a = c("x", "y")))
})

test_that("a frame of metrics is asked for no column that it does not have", {
  client <- shared_client()
  run_id <- runwire_begin_run("0", client = client)
  # As those of the tidyverse do.
  registerS3method("$", "strict_frame", function(x, name) {
    if (!name %in% names(x)) warning("there is no column ", name)
    unclass(x)[[name]]
  })
  frame <- data.frame(key = "m", value = 1)
  class(frame) <- c("strict_frame", class(frame))
  expect_silent(runwire_log_batch(frame, run_id = run_id, client = client))
  expect_identical(runwire_get_run(run_id, client = client)$metrics, c(m = 1))
  runwire_close(client)
})

test_that("columns of a frame of metrics that hold more or less than it has rows are refused", {
  client <- runwire_connect(mode = "offline", spool_dir = tempfile("spool"))
  run_id <- runwire_begin_run("0", client = client)
  for (name in c("value", "step", "timestamp", "key")) {
    frame <- data.frame(key = c("a", "b"), value = 1, step = 1, timestamp = 1)
    frame[[name]] <- matrix(frame[[name]], 2, 2)
    expect_error(
      runwire_log_batch(frame, run_id = run_id, client = client), "the column .* must have as many values as there are keys",
      class = "runwire_type_error"
    )
  }
  runwire_close(client)
})

test_that("arguments that no function takes are errors that name them", {
  refused <- function(expr, what, kind = "type") expect_error(expr, what, class = paste0("runwire_", kind, "_error"))
  connect <- function(...) runwire_connect("127.0.0.1:1", ...)
  for (bad in list(c("a", "b"), 5, NA_character_)) refused(connect(token = bad), "token must be one string")
  for (bad in list(character(), c("error", "x", "y"), NA, 5)) {
    refused(connect(on_spool_full = bad), "on_spool_full must be", "value")
  }
  for (bad in list(5, c("a", "b"))) {
    refused(runwire_connect("runwires://127.0.0.1", tls_ca = bad), "tls_ca must be one string")
    refused(runwire_sync(bad), "folder must be one string")
  }
  refused(runwire_sync(tempfile(), as_new_writer = "yes"), "as_new_writer must be TRUE or FALSE")
  client <- shared_client()
  run <- runwire_create_run("0", client = client)
  curves <- function(...) runwire_get_metric_curves(..., client = client)
  for (bad in list(data.frame(run = run$run_id, key = "m"), data.frame(run_id = run$run_id), list(), run$run_id, mean)) {
    refused(curves(bad), "series must be .* run_id and key")
  }
  refused(curves(run_ids = run, keys = "m"), "run_ids must be")
  refused(curves(run_ids = run$run_id, keys = 5), "keys must be")
  frame <- data.frame(1)
  names(frame) <- rawToChar(as.raw(c(0x63, 0xe9)))
  refused(runwire_dataset_from_data_frame(frame, "d"), "a column whose name", "value")
  runwire_close(client)
})

test_that("a data frame without columns has a schema without columns", {
  expect_identical(runwire_dataset_from_data_frame(data.frame(), "d")$schema, "{\"columns\":[]}")
  expect_identical(
    runwire_dataset_from_data_frame(data.frame(a = 1, b = "x"), "d")$schema,
    "{\"columns\":[{\"name\":\"a\",\"type\":\"numeric\"},{\"name\":\"b\",\"type\":\"character\"}]}"
  )
})

test_that("a block that was changed after it was made is refused", {
  client <- runwire_connect(mode = "offline", spool_dir = tempfile("spool"))
  run_id <- runwire_begin_run("0", client = client)
  made <- runwire_metric_block(c("a", "b"), matrix(1:4, 2), steps = 1:2, timestamps = 1:2)
  changes <- list(list(steps = 1:1000), list(keys = letters), list(values = 1), list(timestamps = c(1, 2, 3)))
  for (change in changes) {
    block <- made
    block[names(change)] <- change
    expect_error(
      runwire_log_batch(block, run_id = run_id, client = client), "a block must be as runwire_metric_block",
      class = "runwire_value_error"
    )
  }
  runwire_log_batch(made, run_id = run_id, client = client)
  runwire_close(client)
})
