test_that("a server that is killed and comes back has every point once", {
  server <- new_server()
  client <- new_client(server$address)
  run_id <- runwire_begin_run("0", client = client)
  # A client that has reached its server waits longer for it.
  runwire_flush(client = client)
  for (step in 1:2000) {
    runwire_log_metric("m", step, step = step, run_id = run_id, client = client)
    if (step %in% c(500, 1000)) {
      Sys.sleep(0.1)
      server$kill()
      if (step == 1000) runwire_log_metric("away", 1, run_id = run_id, client = client)
      server$start()
    }
  }
  runwire_flush(client = client)
  expect_identical(runwire_get_metric_history(run_id, "m", client = client)$value, as.numeric(1:2000))
  expect_identical(runwire_get_run(run_id, client = client)$metric_summaries$count, c(1, 2000))
})

test_that("what is not delivered stays in the spool, and a sync delivers it once", {
  spool <- tempfile("spool")
  retry <- runwire_retry(connect_timeout = 0.3)
  client <- runwire_connect("127.0.0.1:1", spool_dir = spool, retry = retry)
  run_id <- runwire_begin_run(experiment_name = paste0("e", runwire:::mint_id()), client = client)
  runwire_log_series("m", 1:1000, run_id = run_id, client = client)
  error <- expect_error(runwire_close(client), class = "runwire_server_unavailable")
  expect_match(conditionMessage(error), "runwire sync")
  reader <- shared_client()
  outcome <- runwire_sync(spool, address = shared_address())
  expect_identical(outcome$problem, "")
  expect_identical(outcome$left, 0)
  expect_gt(outcome$delivered, 0)
  expect_identical(nrow(runwire_sync(spool, address = shared_address())), 0L)
  expect_identical(runwire_get_metric_history(run_id, "m", client = reader)$value, as.numeric(1:1000))
  runwire_close(reader)
})

test_that("offline runs are delivered by the command of the Python package", {
  reader <- shared_client()
  spool <- tempfile("spool")
  client <- runwire_connect(mode = "offline", spool_dir = spool)
  run_id <- runwire_begin_run(experiment_name = "offline", params = list(a = 1), client = client)
  keys <- sprintf("k%02d", 1:12)
  for (step in 1:3) runwire_log_metrics(stats::setNames(1:12 * step, keys), step = step, run_id = run_id, client = client)
  expect_error(runwire_get_run(run_id, client = client), class = "runwire_failed_precondition")
  expect_identical(runwire_finish_run(run_id, client = client)$status, "FINISHED")
  runwire_close(client)
  done <- processx::run(
    server_command(), c("--address", shared_address(), "sync", spool),
    error_on_status = FALSE, env = server_environment
  )
  expect_identical(done$status, 0L)
  run <- runwire_get_run(run_id, client = reader)
  expect_identical(run$status, "FINISHED")
  expect_identical(run$params, c(a = "1"))
  expect_identical(run$metrics[["k12"]], 36)
  runwire_close(reader)
})

test_that("a full spool is an error where that is asked for", {
  client <- runwire_connect(mode = "offline", spool_dir = tempfile("spool"), spool_bytes = 100000)
  run_id <- runwire_begin_run("0", client = client)
  expect_error(
    for (i in 1:1000) runwire_log_series("m", stats::runif(5000), run_id = run_id, client = client),
    class = "runwire_resource_exhausted"
  )
  try(runwire_close(client, timeout = 0.5), silent = TRUE)
})

test_that("many runs in one process leak neither threads nor files", {
  skip_if(!file.exists("/proc/self/status"), "there is no /proc")
  client <- shared_client()
  counts <- function() {
    threads <- sub("\\D+", "", grep("^Threads:", readLines("/proc/self/status"), value = TRUE))
    c(as.numeric(threads), length(list.files("/proc/self/fd")))
  }
  some <- function(count) {
    for (i in seq_len(count)) {
      id <- runwire_begin_run("0", client = client)
      runwire_log_metric("m", i, run_id = id, client = client)
      runwire:::log_finish(client, id, "FINISHED", NULL)
    }
    runwire_flush(client = client)
  }
  some(50)
  before <- counts()
  some(1000)
  expect_true(all(counts() <= before + c(3, 5)))
  runwire_close(client)
})

test_that("a folder that a server has open is an address, and one without says how to start one", {
  folder <- tempfile("folder")
  server <- new_server(data_dir = folder)
  client <- new_client(folder)
  run_id <- runwire_begin_run("0", client = client)
  runwire_log_metric("m", 1, run_id = run_id, client = client)
  expect_identical(runwire_get_run(run_id, client = client)$metrics, c(m = 1))
  empty <- tempfile("empty")
  dir.create(empty)
  lonely <- new_client(empty, retry = runwire_retry(connect_timeout = 0.3))
  error <- expect_error(runwire_server_info(client = lonely), class = "runwire_server_unavailable")
  expect_match(conditionMessage(error), "runwire server --data-dir")
})

test_that("the server of a folder is waited for while it restarts, by calls, watches and what was logged", {
  folder <- tempfile("folder")
  server <- new_server(data_dir = folder)
  client <- new_client(folder, timeout = 300)
  run_id <- runwire_begin_run("0", client = client)
  runwire_flush(client = client)
  watch <- runwire_watch(run_id, client = client)
  runwire_watch_next(watch, 120)
  restart <- function() {
    server$kill()
    server$launch()
  }
  restart()
  expect_identical(runwire_server_info(client = client)$api_version, "v1")
  restart()
  expect_identical(nrow(runwire_get_metric_history(run_id, "m", client = client)), 0L)
  restart()
  runwire_log_metric("m", 1, run_id = run_id, client = client)
  runwire_flush(client = client)
  restart()
  expect_identical(runwire_watch_next(watch, 120)$points$value, 1)
  close(watch)
})

test_that("heartbeats are for all runs, a thousand in a call", {
  run_ids <- sprintf("%032x", 1:2001)
  told <- lapply(runwire:::checked(runwire:::heartbeat_requests(run_ids)), function(one) {
    runwire:::message_from_raw(runwire:::the$schema, "HeartbeatRequest", one)$run_ids
  })
  expect_identical(lengths(told), c(1000L, 1000L, 1L))
  expect_identical(unlist(told), run_ids)
})

test_that("a server that says nothing on an open connection is cut off, told, and served when it is back", {
  silence <- runwire:::the$silence
  assign("silence", 1, envir = runwire:::the)
  on.exit(assign("silence", silence, envir = runwire:::the))
  server <- new_server()
  client <- new_client(server$address)
  run_id <- runwire_begin_run("0", client = client)
  runwire_flush(client = client)
  server$process$suspend()
  runwire_log_metric("m", 1, run_id = run_id, client = client)
  # A slow machine may stand still for longer than a flush waits.
  flush <- function() tryCatch(runwire_flush(timeout = 4, client = client), error = identity)
  wait_until(inherits(error <- flush(), "runwire_unavailable"))
  expect_match(conditionMessage(error), "runwire sync.*gRPC says: the server says nothing")
  expect_true("spool" %in% names(error$metadata))
  server$process$resume()
  runwire_flush(client = client)
  expect_identical(runwire_get_run(run_id, client = client)$metrics, c(m = 1))
})

test_that("what a call waits for and the call itself share one timeout", {
  server <- new_server()
  client <- new_client(server$address, timeout = 300)
  run_id <- runwire_begin_run("0", client = client)
  runwire_flush(client = client)
  runwire_server_info(client = client)
  # Delivery takes three seconds, or more on a slow machine; the call has what is left.
  server$process$suspend()
  runwire_log_metric("m", 1, run_id = run_id, client = client)
  sleeper <- left <- NULL
  resume <- paste0("sleep 3; kill -CONT ", server$process$get_pid())
  begin <- function() if (is.null(sleeper)) sleeper <<- processx::process$new("sh", c("-c", resume))
  note <- function(timeout) left <<- timeout
  before <- function(name, tracer) suppressMessages(trace(name, tracer, where = asNamespace("runwire"), print = FALSE))
  on.exit(for (name in c("deliver", "new_attempts")) suppressMessages(untrace(name, where = asNamespace("runwire"))))
  before("deliver", bquote(.(begin)()))
  before("new_attempts", bquote(.(note)(timeout)))
  expect_identical(runwire_get_run(run_id, client = client)$metrics, c(m = 1))
  expect_lt(left, 298)
  # And it takes no more than that.
  server$process$suspend()
  began <- Sys.time()
  expect_error(runwire_get_run(run_id, client = client, timeout = 1), class = "runwire_deadline_exceeded")
  server$process$resume()
  expect_lt(as.numeric(Sys.time() - began, units = "secs"), 60)
})

test_that("a closed client says so at once, also where it has not delivered everything", {
  retry <- runwire_retry(connect_timeout = 0.3)
  client <- runwire_connect("127.0.0.1:1", spool_dir = tempfile("spool"), retry = retry)
  run_id <- runwire_begin_run("0", client = client)
  expect_error(runwire_close(client), class = "runwire_server_unavailable")
  uses <- list(
    function() runwire_flush(client = client), function() runwire_get_run(run_id, client = client),
    function() runwire_log_metric("m", 1, run_id = run_id, client = client),
    function() runwire_call_raw("/runwire.v1.ServerService/GetServerInfo", list(raw()), client = client)
  )
  for (use in uses) expect_error(use(), "the client is closed", class = "runwire_value_error")
  expect_null(runwire_close(client))
})
