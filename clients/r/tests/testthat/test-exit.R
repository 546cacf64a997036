# How processes end, and what is left then.
here <- function() c(RUNWIRE_TRACKING_URI = shared_address())

# How often a process has let others run: one that waits does so for each look at whether there is something.
pauses <- function(process) {
  line <- grep("^voluntary_ctxt_switches:", readLines(file.path("/proc", process$get_pid(), "status")), value = TRUE)
  as.numeric(sub("\\D+", "", line))
}

# Interrupts a script twice, which says so each time, and soon.
expect_interrupts <- function(script) {
  expect_true(script$says("ready"))
  for (word in c("interrupted", "stopped")) {
    before <- pauses(script$process)
    wait_until(pauses(script$process) >= before + 10)
    began <- Sys.time()
    script$process$interrupt()
    expect_true(script$says(word))
    # Left alone, the calls would wait for 300 s.
    expect_lt(as.numeric(Sys.time() - began, units = "secs"), 60)
  }
}

test_that("an interrupt ends a call at once", {
  skip_if(!file.exists("/proc/self/status"), "there is no /proc")
  # A port that takes connections, and never says a word.
  script <- new_script(c(
    "for (port in 20000 + sample.int(20000)) {",
    "  socket <- tryCatch(serverSocket(port), error = function(e) NULL)",
    "  if (!is.null(socket)) break",
    "}",
    "client <- runwire_connect(paste0('127.0.0.1:', port), retry = runwire_retry(connect_timeout = 300))",
    "run_id <- runwire_begin_run('0', client = client)",
    "interrupted <- function(said, expr) tryCatch({",
    "  cat(said, '\\n')",
    "  expr",
    "}, interrupt = function(e) NULL)",
    "interrupted('ready', runwire_server_info(client = client, timeout = 300))",
    "interrupted('interrupted', runwire_flush(timeout = 300, client = client))",
    "cat('stopped\\n')",
    "tools::pskill(Sys.getpid(), tools::SIGKILL)"
  ))
  expect_interrupts(script)
  script$end()
})

test_that("an interrupt ends the wait for a folder that another process opens, and that of its client's end", {
  skip_if(!nzchar(Sys.which("flock")) || !file.exists("/proc/self/status"), "nobody can hold the lock, or there is no /proc")
  folder <- tempfile("folder")
  dir.create(folder)
  holder <- processx::process$new("flock", c(file.path(folder, "start.lock"), "sleep", "600"), cleanup_tree = TRUE)
  on.exit(holder$kill_tree())
  script <- new_script(c(
    "retry <- runwire_retry(connect_timeout = 300)",
    "client <- runwire_connect(Sys.getenv('FOLDER'), timeout = 300, retry = retry)",
    "run_id <- runwire_begin_run('0', client = client)",
    "interrupted <- function(said, expr) tryCatch({",
    "  cat(said, '\\n')",
    "  expr",
    "}, interrupt = function(e) NULL)",
    "interrupted('ready', runwire_server_info(client = client))",
    "interrupted('interrupted', runwire_close(client))",
    "cat('stopped\\n')"
  ), FOLDER = folder)
  expect_interrupts(script)
  expect_identical(script$end(), 0L)
})

test_that("an interrupt ends the run of a script as KILLED, and an error as FAILED", {
  reader <- shared_client()
  script <- new_script(c(
    "runwire_with_run({",
    "  cat('run', runwire_active_run()$run_id, '\\n')",
    "  Sys.sleep(600)",
    "})"
  ), here())
  expect_true(script$says("run "))
  script$process$interrupt()
  expect_false(identical(script$end(), 0L))
  expect_identical(runwire_get_run(trimws(script$told("run")), client = reader)$status, "KILLED")
  script <- new_script(c(
    "runwire_with_run({",
    "  cat('run', runwire_active_run()$run_id, '\\n')",
    "  try(stop('this is nothing'), silent = TRUE)",
    "  stop('this is the end')",
    "})"
  ), here())
  expect_identical(script$end(), 1L)
  expect_identical(runwire_get_run(trimws(script$told("run")), client = reader)$status, "FAILED")
  runwire_close(reader)
})

test_that("SIGTERM ends open runs as KILLED, and delivers what was logged", {
  reader <- shared_client()
  # A slow machine may stand still for the five seconds that the signal is held up at most.
  for (attempt in 1:5) {
    spool <- tempfile("spool")
    script <- new_script(c(
      "run <- runwire_start_run()",
      "for (step in 1:5000) runwire_log_metric('m', step, step = step)",
      "cat('run', run$run_id, '\\n')",
      "repeat sum(runif(1000))"
    ), here(), spool = spool)
    expect_true(script$says("run "))
    script$process$signal(tools::SIGTERM)
    expect_identical(script$end(), -15L)
    if (!any(grepl("not everything was delivered", script$lines))) break
  }
  run <- runwire_get_run(trimws(script$told("run")), client = reader)
  expect_identical(run$status, "KILLED")
  expect_identical(run$metric_summaries$count, 5000)
  expect_length(list.files(spool), 0)
  runwire_close(reader)
})

test_that("SIGTERM ends the runs of all clients, also where the first takes all the time", {
  server <- new_server()
  spool <- tempfile("spool")
  script <- new_script(c(
    "for (i in 1:2) {",
    "  client <- runwire_connect()",
    "  run <- runwire_start_run(experiment_id = '0', nested = TRUE, client = client)",
    "  cat(paste0('run', i), run$run_id, '\\n')",
    "}",
    "cat('both\\n')",
    "Sys.sleep(600)"
  ), RUNWIRE_TRACKING_URI = server$address, spool = spool)
  expect_true(script$says("both"))
  server$kill()
  script$process$signal(tools::SIGTERM)
  expect_identical(script$end(), -15L)
  server$start()
  expect_identical(sum(runwire_sync(spool, address = server$address)$left), 0)
  client <- new_client(server$address)
  for (word in c("run1", "run2")) {
    expect_identical(runwire_get_run(trimws(script$told(word)), client = client)$status, "KILLED")
  }
})

test_that("SIGTERM is the program's own where it deals with it, and a forked child's", {
  script <- new_script(c(
    "client <- runwire_connect()",
    "run_id <- runwire_begin_run('0', client = client)",
    "runwire_flush(client = client)",
    "child <- parallel::mcparallel(Sys.sleep(600))",
    "tools::pskill(child$pid, tools::SIGTERM)",
    "invisible(parallel::mccollect(child))",
    "runwire_log_metric('m', 1, run_id = run_id, client = client)",
    "cat('metric', runwire_get_run(run_id, client = client)$metrics, '\\n')"
  ), here())
  expect_identical(script$end(), 0L)
  expect_true(script$says("metric 1"))
})

test_that("the end of a session delivers what was logged and ends open runs", {
  reader <- shared_client()
  script <- new_script(c(
    "run <- runwire_start_run()",
    "runwire_log_metric('m', 7)",
    "cat('run', run$run_id, '\\n')"
  ), here())
  expect_identical(script$end(), 0L)
  run <- runwire_get_run(trimws(script$told("run")), client = reader)
  expect_identical(run$status, "FINISHED")
  expect_identical(run$metrics, c(m = 7))
  runwire_close(reader)
})

test_that("a server that is away at the start and the end costs no more than was said, and nothing is lost", {
  reader <- shared_client()
  spool <- tempfile("spool")
  script <- new_script(c(
    "client <- runwire_connect('127.0.0.1:1', shutdown_timeout = 300, retry = runwire_retry(connect_timeout = 0.5))",
    "run_id <- runwire_begin_run('0', client = client)",
    "runwire_log_series('m', 1:1000, run_id = run_id, client = client)",
    "cat('run', run_id, '\\n')"
  ), spool = spool)
  expect_identical(script$end(100), 0L)
  expect_true(script$says("runwire sync"))
  # The next process that logs to the same folder says so.
  script2 <- new_script(c(
    "client <- runwire_connect()",
    "run_id <- runwire_begin_run('0', client = client)",
    "runwire_flush(client = client)"
  ), here(), spool = spool)
  expect_identical(script2$end(), 0L)
  expect_true(script2$says("1 spool holds what earlier processes did not deliver"))
  outcome <- runwire_sync(spool, address = shared_address())
  expect_identical(outcome$left, 0)
  expect_identical(nrow(runwire_get_metric_history(trimws(script$told("run")), "m", client = reader)), 1000L)
  runwire_close(reader)
})

test_that("a rejection that nobody was told of is told by the sync", {
  server <- new_server()
  spool <- tempfile("spool")
  # Rejected and noted, but the process ends before a flush.
  script <- new_script(c(
    "client <- runwire_connect()",
    "run_id <- runwire_begin_run('0', params = list(p = 1), client = client)",
    "runwire_log_param('p', 2, run_id = run_id, client = client)",
    "end <- Sys.time() + 120",
    "noted <- function() length(Sys.glob(file.path(Sys.getenv('RUNWIRE_SPOOL_DIR'), '*', 'rejections'))) > 0",
    "while (!noted() && Sys.time() < end) Sys.sleep(0.05)",
    "tools::pskill(Sys.getpid(), tools::SIGKILL)"
  ), RUNWIRE_TRACKING_URI = server$address, spool = spool)
  script$end()
  outcome <- runwire_sync(spool, address = server$address)
  expect_match(outcome$rejected[[1]], "PARAM_IMMUTABLE")
  expect_identical(nrow(runwire_sync(spool)), 0L)
})

test_that("a limit of time ends a wait as an error that a script can deal with, and the client goes on", {
  server <- new_server()
  away <- tempfile("away")
  script <- new_script(c(
    "client <- runwire_connect(timeout = 300)",
    "run_id <- runwire_begin_run('0', client = client)",
    "runwire_flush(client = client)",
    "cat('ready\\n')",
    "while (!file.exists(Sys.getenv('AWAY'))) Sys.sleep(0.02)",
    "runwire_log_metric('m', 7, run_id = run_id, client = client)",
    "limited <- function(expr) {",
    "  on.exit(setTimeLimit())",
    "  tryCatch({",
    "    setTimeLimit(elapsed = 0.5, transient = TRUE)",
    "    expr",
    "  }, error = conditionMessage)",
    "}",
    "cat('flush', limited(runwire_flush(client = client)), '\\n')",
    "cat('call', limited(runwire_server_info(client = client)), '\\n')",
    "cat('metric', runwire_get_run(run_id, client = client)$metrics, '\\n')"
  ), RUNWIRE_TRACKING_URI = server$address, AWAY = away)
  expect_true(script$says("ready"))
  server$kill()
  file.create(away)
  expect_true(script$says("flush reached elapsed time limit", 100))
  expect_true(script$says("call reached elapsed time limit", 100))
  server$start()
  expect_identical(script$end(), 0L)
  expect_true(script$says("metric 7"))
})

test_that("a limit of time comes out as itself, wherever in a call it ends", {
  client <- new_client(
    "127.0.0.1:1",
    timeout = 300, retry = runwire_retry(initial = 0.001, maximum = 0.001, connect_timeout = 300)
  )
  limited <- function(...) {
    on.exit(setTimeLimit())
    tryCatch(
      {
        setTimeLimit(elapsed = 0.1, transient = TRUE)
        runwire_server_info(client = client)
      },
      error = conditionMessage
    )
  }
  expect_setequal(vapply(1:60, limited, ""), "reached elapsed time limit")
})

test_that("a block that ends by infinite recursion is FAILED", {
  reader <- shared_client()
  script <- new_script(c(
    "deeper <- function(n) deeper(n + 1)",
    "wider <- function(n) sapply(1, function(i) wider(n + 1))",
    "block <- function(what) runwire_with_run({",
    "  cat('run', runwire_active_run()$run_id, '\\n')",
    "  what(1)",
    "})",
    "for (what in c(deeper, wider)) cat('kind', tryCatch(block(what), error = function(e) class(e)[1]), '\\n')",
    "options(expressions = 300)",
    "cat('kind', tryCatch(block(wider), error = function(e) class(e)[1]), '\\n')",
    "block(deeper)"
  ), here())
  expect_identical(script$end(), 1L)
  kinds <- sub("kind (\\w+) *", "\\1", grep("^kind ", script$lines, value = TRUE))
  expect_identical(kinds, c("CStackOverflowError", "CStackOverflowError", "expressionStackOverflowError"))
  ids <- trimws(sub("run ", "", grep("^run ", script$lines, value = TRUE)))
  expect_length(ids, 4)
  for (id in ids) expect_identical(runwire_get_run(id, client = reader)$status, "FAILED")
  runwire_close(reader)
})

test_that("an interrupt ends a call whose answers do not stop coming", {
  client <- shared_client()
  run_id <- runwire_begin_run("0", client = client)
  runwire_log_series("m", stats::runif(1000), run_id = run_id, client = client)
  runwire_flush(client = client)
  script <- new_script(c(
    "client <- runwire_connect()",
    "wanted <- list(run_ids = Sys.getenv('RUN'))",
    "request <- runwire:::message_to_raw(runwire:::the$schema, 'GetMetricHistoryRequest', wanted)",
    "channel <- runwire:::channel_of(client, 10)",
    "path <- '/runwire.v1.MetricService/GetMetricHistory'",
    "ended <- 'no'",
    "found <- tryCatch({",
    "  tools::pskill(Sys.getpid(), tools::SIGINT)",
    "  runwire:::call_bytes(channel, path, list(request), 60)",
    "  ended <- 'yes'",
    "}, interrupt = function(e) 'interrupted')",
    "cat('found', found, '\\n')",
    "cat('ended', ended, '\\n')"
  ), here(), RUN = run_id)
  expect_identical(script$end(), 0L)
  expect_identical(trimws(script$told("found")), "interrupted")
  expect_identical(trimws(script$told("ended")), "no")
  runwire_close(client)
})

test_that("a session ends also where nobody reads what it says at its end", {
  path <- tempfile(fileext = ".R")
  writeLines(c(
    "library(runwire)",
    "for (i in 1:2) {",
    "  client <- runwire_connect('127.0.0.1:1', shutdown_timeout = 3, retry = runwire_retry(connect_timeout = 60))",
    "  run_id <- runwire_begin_run('0', client = client)",
    "}",
    "cat('ready\\n')"
  ), path)
  spool <- tempfile("spool")
  process <- processx::process$new(
    file.path(R.home("bin"), "Rscript"), c("--vanilla", path),
    stdout = "|", stderr = "|", cleanup_tree = TRUE,
    env = c("current", R_LIBS = paste(.libPaths(), collapse = ":"), RUNWIRE_SPOOL_DIR = spool)
  )
  withr_defer(process$kill_tree(), environment())
  close(process$get_error_connection())
  process$wait(120000)
  expect_false(process$is_alive())
  # What was not delivered is there, and nobody has it.
  outcome <- runwire_sync(spool, address = shared_address())
  expect_identical(outcome$problem, c("", ""))
  expect_identical(outcome$left, c(0, 0))
})

test_that("an interrupt ends the waiting at the end of a session, and all clients share its time", {
  retry <- "retry <- runwire_retry(connect_timeout = 300)"
  connect <- "client <- runwire_connect('127.0.0.1:1', shutdown_timeout = SECONDS, retry = retry)"
  begin <- "run_id <- runwire_begin_run('0', client = client)"
  lines <- function(count, seconds) rep(c(retry, sub("SECONDS", seconds, connect), begin), count)
  spool <- tempfile("spool")
  script <- new_script(lines(2, 200), spool = spool)
  expect_true(script$says("giving up in"))
  script$process$interrupt()
  expect_identical(script$end(100), 0L)
  expect_true(script$says("1 frame waits in"))
  expect_identical(runwire_sync(spool, address = shared_address())$left, c(0, 0))
  # Only the first of ten waits for so long that it says so.
  script <- new_script(lines(10, 4))
  expect_identical(script$end(), 0L)
  expect_lt(sum(grepl("giving up in", script$lines)), 2)
})
