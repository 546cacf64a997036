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

test_that("with() takes no run that is not the current one: what is logged inside would go elsewhere", {
  client <- fresh_session(shared_client())
  outer <- runwire_start_run(client = client)
  inner <- runwire_start_run(nested = TRUE)
  expect_error(with(outer, runwire_log_metric("m", 1)), "started inside it", class = "runwire_failed_precondition")
  with(inner, runwire_log_metric("m", 2))
  expect_error(with(inner, runwire_log_metric("m", 3)), "ended already", class = "runwire_failed_precondition")
  with(outer, runwire_log_metric("m", 4))
  values <- vapply(c(inner$run_id, outer$run_id), function(run) {
    runwire_get_metric_history(run, "m", client = client)$value
  }, 0)
  expect_identical(unname(values), c(2, 4))
  runwire_close(client)
})

# A session that has not begun, with variables of its environment, as long as a test lasts.
new_session <- function(..., env = parent.frame()) {
  given <- c(RUNWIRE_SPOOL_DIR = tempfile("spool"), ...)
  old <- Sys.getenv(names(given), NA)
  session <- runwire:::the$session
  withr_defer({
    Sys.unsetenv(names(old)[is.na(old)])
    if (!all(is.na(old))) do.call(Sys.setenv, as.list(old[!is.na(old)]))
    assign("session", session, envir = runwire:::the)
  }, env)
  do.call(Sys.setenv, as.list(given))
  assign("session", runwire:::new_session(), envir = runwire:::the)
}

test_that("the session goes by the environment", {
  client <- shared_client()
  name <- paste0("e", runwire:::mint_id())
  new_session(RUNWIRE_TRACKING_URI = shared_address(), RUNWIRE_EXPERIMENT = name)
  runwire_log_metric("m", 2)
  run <- runwire_active_run()
  runwire_end_run()
  expect_identical(runwire_get_experiment_by_name(name, client = client)$experiment_id, run$experiment_id)
  expect_identical(runwire_last_active_run()$metrics, c(m = 2))
  expect_identical(nrow(runwire_search_runs()), 1L)
  runwire_close(runwire:::session_client())
  runwire_close(client)
})

test_that("runs that are open go on at their server while the session moves to another", {
  second <- new_server()
  moves <- list(
    function() runwire_set_tracking_uri(second$address),
    function() {
      Sys.setenv(RUNWIRE_TRACKING_URI = second$address)
      # Whoever asks for the session's client finds that out.
      expect_identical(nrow(runwire_search_runs("0")), 0L)
    }
  )
  for (move in moves) {
    new_session(RUNWIRE_TRACKING_URI = shared_address())
    run <- runwire_start_run()
    old <- runwire:::session_client()
    runwire_log_metric("m", 1)
    move()
    runwire_log_metric("m", 2)
    runwire_log_param("alpha", 0.1)
    inner <- runwire_start_run(nested = TRUE)
    runwire_end_run()
    expect_false(old$closed)
    expect_identical(runwire_active_run()$run_id, run$run_id)
    expect_identical(runwire:::session_client()$settings$address$text, second$address)
    runwire_end_run("FAILED")
    expect_true(old$closed)
    client <- new_client(shared_address())
    found <- runwire_get_run(run$run_id, client = client)
    expect_identical(found$status, "FAILED")
    expect_identical(found$params, c(alpha = "0.1"))
    expect_identical(found$metric_summaries$count, 2)
    expect_identical(runwire_get_run(inner$run_id, client = client)$parent_run_id, run$run_id)
    runwire_close(runwire:::session_client())
  }
})

test_that("the experiment is forgotten with its server", {
  second <- new_server()
  new_session(RUNWIRE_TRACKING_URI = shared_address())
  runwire_set_experiment(paste0("e", runwire:::mint_id()))
  Sys.setenv(RUNWIRE_TRACKING_URI = second$address)
  expect_identical(runwire_start_run()$experiment_id, "0")
  runwire_end_run()
  runwire_close(runwire:::session_client())
})

test_that("a status that no run ends with is refused, and the run stays open", {
  client <- fresh_session(shared_client())
  run <- runwire_start_run(client = client)
  for (bad in list("DONE", "finished", 1, c("FAILED", "KILLED"))) {
    error <- expect_error(runwire_end_run(bad), "FINISHED, FAILED or KILLED, and not", class = "runwire_value_error")
    expect_false(grepl("RUNNING", conditionMessage(error)))
  }
  expect_error(runwire_end_run("RUNNING"), class = "runwire_invalid_field")
  expect_identical(runwire_active_run()$run_id, run$run_id)
  runwire_end_run("KILLED")
  expect_identical(status_of(run$run_id, client), "KILLED")
  runwire_close(client)
})

test_that("a client's runs belong to the experiment that it or the environment names", {
  named <- paste0("e", runwire:::mint_id())
  other <- paste0("e", runwire:::mint_id())
  new_session(RUNWIRE_TRACKING_URI = shared_address(), RUNWIRE_EXPERIMENT = named)
  experiment_of <- function(client, ...) {
    run <- runwire_start_run(client = client, ...)
    runwire_end_run()
    runwire_get_experiment(run$experiment_id, client)$name
  }
  # What the session has set is the session's client's alone.
  mine <- runwire_set_experiment(other)$name
  client <- shared_client()
  expect_identical(experiment_of(client), named)
  expect_identical(experiment_of(NULL), mine)
  given <- shared_client(experiment = paste0(named, "/own"))
  expect_identical(experiment_of(given), paste0(named, "/own"))
  expect_identical(nrow(runwire_search_runs(client = given)), 1L)
  runwire_set_experiment_tag("colour", "red", client = given)
  expect_identical(runwire_get_experiment_by_name(paste0(named, "/own"), client)$tags, c(colour = "red"))
  expect_length(runwire_get_experiment_by_name(other, client)$tags, 0)
  # An experiment is never meant without being named where it would be deleted.
  expect_error(runwire_delete_experiment(NULL, client = given), "experiment_id", class = "runwire_type_error")
  expect_error(runwire_connect(experiment = 1), "experiment", class = "runwire_type_error")
  runwire_close(client)
  runwire_close(given)
  runwire_close(runwire:::session_client())
})

test_that("a client that is offline does not take the session's experiment either", {
  new_session(RUNWIRE_TRACKING_URI = shared_address(), RUNWIRE_EXPERIMENT = paste0("e", runwire:::mint_id()))
  name <- paste0("e", runwire:::mint_id())
  runwire_set_experiment(name)
  spool <- tempfile("spool")
  run_ids <- vapply(list(NULL, paste0(name, "/own")), function(experiment) {
    client <- runwire_connect(mode = "offline", spool_dir = spool, experiment = experiment)
    run <- runwire_start_run(client = client)
    runwire_end_run()
    runwire_close(client)
    run$run_id
  }, "")
  expect_identical(runwire_sync(spool, address = shared_address())$problem, c("", ""))
  found <- vapply(run_ids, function(id) runwire_get_experiment(runwire_get_run(id)$experiment_id)$name, "", USE.NAMES = FALSE)
  expect_identical(found, c(Sys.getenv("RUNWIRE_EXPERIMENT"), paste0(name, "/own")))
  runwire_close(runwire:::session_client())
})

test_that("a run starts in one experiment", {
  client <- fresh_session(shared_client())
  expect_error(
    runwire_start_run(experiment_id = "0", experiment_name = "x", client = client), "either",
    class = "runwire_value_error"
  )
  expect_null(runwire_active_run())
  expect_null(runwire_get_experiment_by_name("x", client))
  runwire_close(client)
})

test_that("a run inside another one belongs to the experiment of that, offline too", {
  name <- paste0("e", runwire:::mint_id())
  started <- function(...) {
    run <- runwire_start_run(...)
    runwire_log_metric("m", 1)
    runwire_end_run()
    run$run_id
  }
  in_mode <- function(mode) {
    new_session(RUNWIRE_TRACKING_URI = shared_address(), RUNWIRE_MODE = mode)
    runwire_set_experiment(paste0(name, "/set before"))
    outer <- runwire_start_run(experiment_name = name)
    ids <- started(nested = TRUE)
    runwire_set_experiment(paste0(name, "/set since"))
    ids <- c(ids, started(nested = TRUE))
    runwire_end_run()
    # One that is resumed is known where it began.
    runwire_start_run(run_id = outer$run_id)
    ids <- c(ids, started(nested = TRUE))
    runwire_end_run()
    begun <- runwire_begin_run(experiment_name = name)
    ids <- c(ids, started(parent_run_id = begun))
    runwire_close(runwire:::session_client())
    if (mode == "offline") expect_identical(lengths(runwire_sync(Sys.getenv("RUNWIRE_SPOOL_DIR"))$rejected), 0L)
    client <- new_client(shared_address(), mode = "online")
    found <- lapply(ids, runwire_get_run, client = client)
    expected <- runwire_get_experiment_by_name(name, client)$experiment_id
    expect_identical(vapply(found, function(run) run$experiment_id, ""), rep(expected, 4))
    expect_identical(vapply(found, function(run) run$parent_run_id, ""), c(rep(outer$run_id, 3), begun))
    expect_identical(unlist(lapply(found, function(run) run$metrics)), c(m = 1, m = 1, m = 1, m = 1))
  }
  in_mode("offline")
  in_mode("online")
})

test_that("offline, the experiment of a parent that began elsewhere is not guessed", {
  new_session(RUNWIRE_MODE = "offline", RUNWIRE_EXPERIMENT = "e")
  elsewhere <- "0198c5a4d7b27d0a8f3b1c2d3e4f5a6b"
  runwire_start_run(run_id = elsewhere)
  error <- expect_error(
    runwire_start_run(nested = TRUE), "give experiment_id or experiment_name", class = "runwire_failed_precondition"
  )
  expect_match(conditionMessage(error), elsewhere)
  inner <- runwire_start_run(nested = TRUE, experiment_id = 3)
  expect_identical(inner$experiment_id, "3")
  runwire_end_run()
  runwire_end_run()
  expect_error(
    runwire_start_run(parent_run_id = elsewhere), "give experiment_id or experiment_name",
    class = "runwire_failed_precondition"
  )
  for (bad in list(5, c(elsewhere, elsewhere), NA_character_)) {
    expect_error(runwire_start_run(parent_run_id = bad), "parent_run_id", class = "runwire_type_error")
  }
  runwire_close(runwire:::session_client())
})

test_that("a run's description is one text, and its name made up where it is empty", {
  new_session(RUNWIRE_MODE = "offline")
  for (given in list(factor("text"), as.Date("2024-02-29"), 1e5, "text")) {
    run <- runwire_start_run(description = given, run_name = "")
    expect_identical(run$tags[["mlflow.note.content"]], if (is.numeric(given)) "100000" else as.character(given))
    expect_match(run$run_name, "^[a-z]+-[a-z]+-[0-9]+$")
    runwire_end_run()
  }
  for (bad in list(c("a", "b"), character(), list("a"), mean)) {
    expect_error(runwire_start_run(description = bad), "description: the value must be", class = "runwire_type_error")
  }
  expect_null(runwire_active_run())
  runwire_start_run()
  for (bad in list(NA, "yes", c(TRUE, TRUE), NULL)) {
    expect_error(runwire_start_run(nested = bad), "nested must be TRUE or FALSE", class = "runwire_type_error")
  }
  runwire_end_run()
  runwire_close(runwire:::session_client())
})
