test_that("generated functions speak the API as it is", {
  client <- shared_client()
  run <- rpc_create_run(experiment_id = "0", name = "raw", client = client)$run
  expect_identical(run$status, "RUN_STATUS_RUNNING")
  rpc_log_batch(
    run_id = run$run_id,
    blocks = list(list(keys = "m", range = list(first = 0, stride = 1), timestamps_ms = c(1, 2), values = c(0.5, 0.25))),
    client = client
  )
  messages <- list()
  rpc_get_metric_history(run_ids = run$run_id, on_message = function(message) {
    messages <<- c(messages, list(message))
  }, client = client)
  expect_identical(messages[[1]]$blocks[[1]]$block$values, c(0.5, 0.25))
  runwire_close(client)
})

test_that("bytes go out and come back", {
  client <- shared_client()
  found <- runwire_call_raw("/runwire.v1.ServerService/GetServerInfo", list(raw()), client = client)
  info <- runwire:::message_from_raw(runwire:::the$schema, "GetServerInfoResponse", found[[1]])
  expect_identical(info$api_version, "v1")
  expect_error(
    runwire_call_raw("/runwire.v1.RunService/Fly", list(raw()), client = client),
    class = "runwire_unimplemented"
  )
  runwire_close(client)
})

test_that("objects print, format and become data frames", {
  client <- shared_client()
  run <- runwire_create_run("0", params = list(a = 1), run_name = "shown", client = client)
  runwire_log_metric("m", 0.5, run_id = run$run_id, client = client)
  run <- runwire_get_run(run$run_id, client = client)
  expect_match(format(run), "shown: RUNNING")
  expect_output(print(run), "metrics: m = 0.5")
  expect_identical(as.data.frame(run)$metrics.m, 0.5)
  expect_identical(summary(run)$count, 1)
  history <- runwire_get_metric_history(run$run_id, "m", client = client)
  expect_output(print(history), "history of m")
  expect_identical(summary(history)$latest, 0.5)
  expect_output(print(runwire_search_runs("0", max_results = 2, client = client)), "runs?>")
  runwire_close(client)
})

test_that("a generated function that changes something counts once, also when its answer is lost and it is repeated", {
  client <- shared_client()
  run_id <- runwire_begin_run("0", client = client)
  sent <- list()
  note <- function(...) sent <<- list(...)
  suppressMessages(trace(
    "send", bquote(.(note)(client, service, method, request)), where = asNamespace("runwire"), print = FALSE
  ))
  block <- list(keys = "m", range = list(first = 0, stride = 1), timestamps_ms = 1, values = 0.5)
  rpc_log_batch(run_id = run_id, blocks = list(block), client = client)
  suppressMessages(untrace("send", where = asNamespace("runwire")))
  # As a repeat does.
  do.call(runwire:::send, sent)
  expect_identical(runwire_get_metric_history(run_id, "m", client = client)$value, 0.5)
  # Who names one goes by it.
  rpc_log_batch(run_id = run_id, blocks = list(block), request_id = "own", client = client)
  rpc_log_batch(run_id = run_id, blocks = list(block), request_id = "own", client = client)
  expect_identical(nrow(runwire_get_metric_history(run_id, "m", client = client)), 2L)
  runwire_close(client)
})

test_that("generated functions refuse integer64 where a double is wanted", {
  seven <- structure(readBin(as.raw(c(7, rep(0, 7))), "double", endian = "little"), class = "integer64")
  client <- shared_client()
  run_id <- runwire_begin_run("0", client = client)
  block <- list(keys = "m", range = list(first = seven), timestamps_ms = seven, values = seven)
  expect_error(
    rpc_log_batch(run_id = run_id, blocks = list(block), client = client), "values must be a number",
    class = "runwire_type_error"
  )
  runwire_close(client)
})
