fresh_session <- function(client) {
  runwire:::set_stack(runwire:::the$session, list())
  invisible(client)
}

status_of <- function(run_id, client) runwire_get_run(run_id, client = client)$status

test_that("with_run ends a run as its block ends", {
  client <- fresh_session(shared_client())
  value <- runwire_with_run(client = client, {
    good <- runwire_active_run()$run_id
    runwire_log_metric("m", 1)
    42
  })
  expect_identical(value, 42)
  expect_identical(status_of(good, client), "FINISHED")
  expect_error(runwire_with_run(client = client, {
    bad <- runwire_active_run()$run_id
    stop("oh")
  }), "oh")
  expect_identical(status_of(bad, client), "FAILED")
  tryCatch(
    runwire_with_run(client = client, {
      killed <- runwire_active_run()$run_id
      signalCondition(structure(class = c("interrupt", "condition"), list(message = "", call = NULL)))
      stop("not reached")
    }),
    interrupt = function(e) NULL
  )
  expect_identical(status_of(killed, client), "KILLED")
  runwire_with_run(client = client, {
    handled <- runwire_active_run()$run_id
    try(stop("inside"), silent = TRUE)
  })
  expect_identical(status_of(handled, client), "FINISHED")
  expect_null(runwire_active_run())
  runwire_close(client)
})

test_that("with() takes a run that was started, and nested runs have parents", {
  client <- fresh_session(shared_client())
  run <- runwire_start_run(client = client, run_name = "outer")
  with(run, {
    expect_error(runwire_start_run(client = client), class = "runwire_failed_precondition")
    inner <- runwire_start_run(nested = TRUE)
    expect_identical(inner$parent_run_id, run$run_id)
    runwire_end_run("FAILED")
  })
  expect_identical(status_of(inner$run_id, client), "FAILED")
  expect_identical(status_of(run$run_id, client), "FINISHED")
  runwire_close(client)
})

test_that("the session goes by the environment", {
  client <- shared_client()
  old <- Sys.getenv(c("RUNWIRE_TRACKING_URI", "RUNWIRE_EXPERIMENT", "RUNWIRE_SPOOL_DIR"), NA)
  name <- paste0("e", runwire:::mint_id())
  Sys.setenv(
    RUNWIRE_TRACKING_URI = shared_address(), RUNWIRE_EXPERIMENT = name, RUNWIRE_SPOOL_DIR = tempfile("spool")
  )
  on.exit({
    Sys.unsetenv(names(old)[is.na(old)])
    if (!all(is.na(old))) do.call(Sys.setenv, as.list(old[!is.na(old)]))
  })
  runwire_log_metric("m", 2)
  run <- runwire_active_run()
  runwire_end_run()
  expect_identical(runwire_get_experiment_by_name(name, client = client)$experiment_id, run$experiment_id)
  expect_identical(runwire_last_active_run()$metrics, c(m = 2))
  expect_identical(nrow(runwire_search_runs()), 1L)
  runwire_close(runwire:::session_client())
  runwire_close(client)
})
