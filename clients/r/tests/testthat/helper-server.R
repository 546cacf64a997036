# A real server for the tests: RUNWIRE_SERVER_COMMAND, else that of the repository's own environment.
server_command <- function() {
  named <- Sys.getenv("RUNWIRE_SERVER_COMMAND", "")
  if (nzchar(named)) {
    return(named)
  }
  found <- normalizePath(file.path("..", "..", "..", "..", ".venv", "bin", "runwire"), mustWork = FALSE)
  if (file.exists(found)) found else ""
}

# Certificates for localhost lie in the repository, beside this package.
certificates <- function(...) {
  named <- Sys.getenv("RUNWIRE_CERTIFICATES", "")
  file.path(if (nzchar(named)) named else file.path("..", "..", "..", "..", "tests", "client"), ...)
}

# R's own path of libraries is not for programs that have theirs, as Python.
server_environment <- c("current", LD_LIBRARY_PATH = "")

skip_without_server <- function() {
  skip_if(!nzchar(server_command()), "there is no server to run: set RUNWIRE_SERVER_COMMAND")
}

# How long a test waits before it says that something hangs, seconds: a slow machine may stand still for many.
patience <- 300

# Clients that name no times for it wait longer for a server that is there, in this process and in scripts.
patiently <- c(
  "invisible(suppressMessages(trace('find_settings', quote({",
  "  if (identical(timeout, 30)) timeout <- 120",
  "  if (identical(retry$connect_timeout, 3)) retry$connect_timeout <- 120",
  "}), where = asNamespace('runwire'), print = FALSE)))"
)
eval(parse(text = patiently))

# Waits until an expression is true.
wait_until <- function(condition) {
  call <- substitute(condition)
  here <- parent.frame()
  end <- Sys.time() + patience
  while (!isTRUE(eval(call, here))) {
    if (Sys.time() > end) stop("this never was: ", deparse(call)[1])
    Sys.sleep(0.02)
  }
}

# Starts a server; `$address` is where it listens, `$kill()` ends it as kill -9 does, `$start()` starts it again there, and
# `$launch()` does not wait until it is ready.
new_server <- function(..., env = parent.frame(), data_dir = NULL) {
  skip_without_server()
  folder <- if (is.null(data_dir)) tempfile("server") else data_dir
  self <- new.env()
  self$port <- "0"
  self$launch <- function() {
    arguments <- c("server", "--data-dir", folder, "--grpc-port", self$port, ...)
    self$log <- tempfile("log")
    self$process <- processx::process$new(
      server_command(), arguments,
      stdout = self$log, stderr = "2>&1", cleanup_tree = TRUE, env = server_environment
    )
  }
  self$start <- function() {
    self$launch()
    end <- Sys.time() + patience
    # The whole line: it may be read while it is written.
    while (length(line <- grep("ready at .*\\)$", readLines(self$log, warn = FALSE), value = TRUE)) == 0) {
      if (Sys.time() > end || !self$process$is_alive()) stop("no server: ", paste(readLines(self$log), collapse = "\n"))
      Sys.sleep(0.02)
    }
    self$address <- sub(".*ready at ([^ ]+).*", "\\1", line)
    if (!startsWith(self$address, "unix:")) self$port <- sub(".*:", "", self$address)
    invisible(self)
  }
  self$kill <- function() self$process$kill_tree()
  withr_defer(self$kill(), env)
  self$start()
}

# Runs an expression when the frame of a test ends.
withr_defer <- function(expr, env) {
  call <- substitute(expr)
  here <- parent.frame()
  do.call(on.exit, list(bquote(eval(quote(.(call)), .(here))), add = TRUE), envir = env)
}

# A client of its own, with a spool of its own.
new_client <- function(address, ..., env = parent.frame()) {
  client <- runwire_connect(address, spool_dir = tempfile("spool"), ...)
  withr_defer(try(runwire_close(client, timeout = 5), silent = TRUE), env)
  client
}

# One server for all tests that do not stop it.
shared <- new.env()
shared_address <- function() {
  if (is.null(shared$server)) {
    shared$server <- new_server(env = shared_frame())
  }
  shared$server$address
}

shared_client <- function(...) runwire_connect(shared_address(), spool_dir = tempfile("spool"), ...)

# Ended with the process: processx looks after it.
shared_frame <- function() environment()

# A script of its own, in a process of its own: lines of R, and variables of its environment. `$says(pattern)` waits until
# it has said so, on either stream; `$end()` waits for its end and returns its exit code.
new_script <- function(lines, ..., spool = tempfile("spool"), env = parent.frame()) {
  skip_on_os("windows")
  path <- tempfile(fileext = ".R")
  writeLines(c("library(runwire)", patiently, lines), path)
  given <- c("current", R_LIBS = paste(.libPaths(), collapse = ":"), RUNWIRE_SPOOL_DIR = spool, ...)
  process <- processx::process$new(
    file.path(R.home("bin"), "Rscript"), c("--vanilla", path),
    stdout = "|", stderr = "2>&1", env = given, cleanup_tree = TRUE
  )
  withr_defer(process$kill_tree(), env)
  self <- new.env()
  self$process <- process
  self$lines <- character()
  self$read <- function() {
    process$poll_io(100)
    self$lines <- c(self$lines, process$read_output_lines())
  }
  self$says <- function(pattern, most = patience) {
    end <- Sys.time() + most
    while (!any(grepl(pattern, self$lines)) && Sys.time() < end) self$read()
    any(grepl(pattern, self$lines))
  }
  self$end <- function(most = patience) {
    end <- Sys.time() + most
    while ((process$is_alive() || process$is_incomplete_output()) && Sys.time() < end) self$read()
    process$get_exit_status()
  }
  # What it said behind a word, such as an id.
  self$told <- function(word) sub(paste0(".*", word, " "), "", grep(paste0(word, " "), self$lines, value = TRUE)[1])
  self
}
