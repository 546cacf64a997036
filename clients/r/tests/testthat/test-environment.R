# What processes are told by their environment.
here <- function() c(RUNWIRE_TRACKING_URI = shared$server$address)

test_that("RUNWIRE_RUN_ID is the run that the first start resumes", {
  client <- shared_client()
  run_id <- runwire_begin_run("0", client = client)
  runwire_finish_run(run_id, client = client)
  script <- new_script(c(
    "cat('first', runwire_start_run()$run_id, '\\n')",
    "runwire_log_metric('m', 1)",
    "runwire_end_run()",
    "cat('second', runwire_start_run()$run_id, '\\n')"
  ), here(), RUNWIRE_RUN_ID = run_id)
  expect_identical(script$end(), 0L)
  expect_identical(trimws(script$told("first")), run_id)
  expect_false(identical(trimws(script$told("second")), run_id))
  expect_identical(runwire_get_run(run_id, client = client)$metrics, c(m = 1))
  runwire_close(client)
})

test_that("RUNWIRE_TLS_CA is the file of the certificates to trust", {
  skip_if(!file.exists(certificates("localhost.pem")), "the certificates lie in the repository")
  authority <- normalizePath(certificates("localhost.pem"))
  server <- new_server("--tls-cert", authority, "--tls-key", certificates("localhost.key"))
  address <- paste0("runwires://localhost:", server$port)
  lines <- function(seconds) c(
    paste0("client <- runwire_connect(retry = runwire_retry(connect_timeout = ", seconds, "))"),
    "cat('found', tryCatch(runwire_server_info(client = client)$api_version, error = function(e) class(e)[1]), '\\n')",
    "run_id <- runwire_begin_run('0', client = client)",
    "runwire_log_metric('m', 1, run_id = run_id, client = client)",
    "cat('flushed', tryCatch(is.null(runwire_flush(client = client)), error = function(e) class(e)[1]), '\\n')",
    "tools::pskill(Sys.getpid(), tools::SIGKILL)"
  )
  trusting <- new_script(lines(120), RUNWIRE_TRACKING_URI = address, RUNWIRE_TLS_CA = authority)
  trusting$end()
  expect_identical(trimws(trusting$told("found")), "v1")
  expect_identical(trimws(trusting$told("flushed")), "TRUE")
  # The system's certificates do not vouch for this one.
  other <- new_script(lines(2), RUNWIRE_TRACKING_URI = address, RUNWIRE_TLS_CA = "")
  other$end()
  expect_identical(trimws(other$told("found")), "runwire_server_unavailable")
  expect_identical(trimws(other$told("flushed")), "runwire_server_unavailable")
})

test_that("without RUNWIRE_SPOOL_DIR spools lie in the user's folder for state, by address", {
  lines <- c(
    "retry <- runwire_retry(connect_timeout = 0.2)",
    "client <- runwire_connect('127.0.0.1:1', shutdown_timeout = 120, retry = retry)",
    "run_id <- runwire_begin_run('0', client = client)"
  )
  # The hash is that of the text runwire://127.0.0.1:1.
  state <- tempfile("state")
  script <- new_script(lines, spool = "", XDG_STATE_HOME = state)
  expect_identical(script$end(), 0L)
  expect_match(list.files(file.path(state, "runwire", "spool", "40eb78e428092fe0")), "^[0-9a-f]{32}$")
  home <- tempfile("home")
  dir.create(home)
  script <- new_script(lines, spool = "", XDG_STATE_HOME = "", HOME = home)
  expect_identical(script$end(), 0L)
  expect_match(list.files(file.path(home, ".local", "state", "runwire", "spool", "40eb78e428092fe0")), "^[0-9a-f]{32}$")
})

test_that("without RUNWIRE_SPOOL_DIR spools lie in ./runwire-offline offline", {
  folder <- tempfile("work")
  dir.create(folder)
  script <- new_script(c(
    paste0("setwd(", deparse(folder), ")"),
    "client <- runwire_connect()",
    "run_id <- runwire_begin_run('0', client = client)"
  ), spool = "", RUNWIRE_MODE = "offline")
  expect_identical(script$end(), 0L)
  expect_match(list.files(file.path(folder, "runwire-offline")), "^[0-9a-f]{32}$")
})

test_that("state that is not at home lies in a folder of the user alone", {
  folder <- tempfile("state")
  made <- runwire:::own_folder(folder)
  expect_identical(as.character(file.info(made)$mode), "700")
  expect_identical(runwire:::own_folder(folder), folder)
  Sys.chmod(folder, "0750")
  expect_error(runwire:::own_folder(folder), "not a folder of this user alone")
  Sys.chmod(folder, "0700")
  link <- tempfile("link")
  file.symlink(folder, link)
  expect_error(runwire:::own_folder(link), "not a folder of this user alone")
})
