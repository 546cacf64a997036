test_that("errors have classes of reason, code and package", {
  client <- shared_client()
  missing <- "0198c5a4d7b27d0a8f3b1c2d3e4f5a6b"
  error <- expect_error(runwire_get_run(missing, client = client), class = "runwire_run_not_found")
  expect_s3_class(error, c("runwire_run_not_found", "runwire_not_found", "runwire_error", "error", "condition"), exact = TRUE)
  expect_identical(error$metadata[["run_id"]], missing)
  error <- expect_error(runwire_get_run("x", client = client), class = "runwire_invalid_argument")
  expect_identical(error$violations$field, "run_id")
  error <- expect_error(runwire_search_runs("0", "a b", client = client), class = "runwire_invalid_filter")
  runwire_close(client)
})

test_that("what breaks a rule is raised where it is logged", {
  client <- shared_client()
  run_id <- runwire_begin_run("0", client = client)
  for (bad in list("", "/a", "a//b", "../a", "a\nb", strrep("k", 251))) {
    expect_error(runwire_log_metric(bad, 1, run_id = run_id, client = client), class = "runwire_invalid_field")
  }
  expect_error(runwire_log_metric("a", 1, run_id = "x", client = client), class = "runwire_invalid_field")
  error <- expect_error(
    runwire_log_params(list(ok = 1, bad = strrep("x", 6001)), run_id = run_id, client = client),
    class = "runwire_invalid_argument"
  )
  expect_identical(error$violations$field, "params[1].value")
  runwire_close(client)
})

test_that("what the server rejects is raised by the next flush, once", {
  client <- shared_client()
  run_id <- runwire_begin_run("0", params = list(alpha = 1), client = client)
  runwire_log_param("alpha", 2, run_id = run_id, client = client)
  error <- expect_error(runwire_flush(client = client), class = "runwire_param_immutable")
  expect_s3_class(error, "runwire_failed_precondition")
  expect_identical(error$metadata[["key"]], "alpha")
  expect_silent(runwire_flush(client = client))
  runwire_close(client)
})

test_that("a server that is not there is an error within the time", {
  client <- new_client("127.0.0.1:1", retry = runwire_retry(connect_timeout = 0.3))
  error <- expect_error(runwire_server_info(client = client), class = "runwire_server_unavailable")
  expect_match(conditionMessage(error), "no Runwire server answers at runwire://127.0.0.1:1")
})
