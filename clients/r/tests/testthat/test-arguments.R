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
