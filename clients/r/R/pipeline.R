default_offline <- "runwire-offline"

# Where a client keeps what is not delivered.
find_spool <- function(client, spool_dir, spool_bytes, on_spool_full, shutdown_timeout) {
  if (!is.numeric(spool_bytes) || length(spool_bytes) != 1 || !isTRUE(spool_bytes > 0)) {
    value_error("spool_bytes must be more than 0, and is ", format(spool_bytes))
  }
  address <- client$settings$address$text %||% ""
  root <- spool_dir %||% env("RUNWIRE_SPOOL_DIR")
  if (is.null(root)) {
    online <- file.path(state_folder(), "spool", digest16(charToRaw(address)))
    root <- if (client$mode == "offline") file.path(getwd(), default_offline) else online
  }
  if (!is.character(root) || length(root) != 1 || is.na(root)) {
    type_error("spool_dir must be one path")
  }
  the$count <- (the$count %||% 0) + 1
  list(
    root = absolute(root), bytes = spool_bytes, on_full = on_spool_full,
    shutdown_timeout = seconds(shutdown_timeout, "shutdown_timeout"), id = the$count
  )
}

absolute <- function(path) {
  path <- path.expand(enc2utf8(path))
  if (dir.exists(path)) {
    return(normalizePath(path))
  }
  # What is not there yet lies in its parent, which R leaves as it is if that is not there either.
  parent <- normalizePath(dirname(path), mustWork = FALSE)
  if (!startsWith(parent, "/")) parent <- file.path(getwd(), parent)
  file.path(sub("/$", "", parent), basename(path))
}

# The user's folder for state; containers may have no home that can be written.
state_folder <- function() {
  home <- env("XDG_STATE_HOME") %||% file.path(path.expand("~"), ".local", "state")
  there <- home
  while (!dir.exists(there) && dirname(there) != there) there <- dirname(there)
  if (file.access(there, 2) == 0) {
    return(file.path(home, "runwire"))
  }
  own_folder(file.path(dirname(tempdir()), paste0("runwire-state-", file.info(tempdir())$uid)))
}

# Makes a folder where everybody may, which others could have made before to read what comes there.
own_folder <- function(path) {
  dir.create(path, showWarnings = FALSE, mode = "0700")
  found <- file.info(path)
  alone <- isTRUE(found$isdir) && identical(Sys.readlink(path), "") &&
    found$uid == file.info(tempdir())$uid && bitwAnd(as.integer(found$mode), 63L) == 0
  if (!alone) value_error(path, " is not a folder of this user alone")
  path
}

delivery_options <- function(client) {
  given <- client$settings
  where <- given$address
  list(
    target = where$target %||% "", secure = isTRUE(where$secure), local = isTRUE(where$local),
    tls_ca = given$tls_ca, token = given$token, user_agent = the$user_agent,
    connect_timeout = given$retry$connect_timeout, initial = given$retry$initial,
    multiplier = given$retry$multiplier, maximum = given$retry$maximum, silence = the$silence,
    address = where$text %||% "", folder = where$folder %||% ""
  )
}

open_pipeline <- function(client) {
  spool <- client$spool
  options <- list(
    offline = client$mode == "offline", root = spool$root, spool_bytes = min(spool$bytes, 2^62),
    block = spool$on_full == "block"
  )
  checked(pipeline_open(c(delivery_options(client), options)))
}

# Waits until what was logged is delivered, and leaves it to a flush to tell of rejections.
deliver <- function(client, timeout) {
  check_open(client)
  checked(pipeline_deliver(client$pipeline, timeout, FALSE))
}

#' Wait for the delivery of what was logged
#'
#' `runwire_flush` waits until everything logged so far is on the server's disk; offline, on this machine's.
#' `runwire_close` does the same and closes the client, which can not be used again.
#'
#' What the server rejected since the last time (a changed param, a deleted run ...) is an error here, as a call of its
#' own would have raised it. What can not be delivered in time stays in the client's folder of spools, and is still on
#' its way after a flush; after a close, [runwire_sync()] delivers it. Offline, nothing is waited for once the folder takes
#' no more: that is an error of the code RESOURCE_EXHAUSTED at once.
#'
#' @param timeout Seconds that it may take, or a `difftime`; `NULL` for the client's. A server that was never reached is given up
#'   sooner, as with calls.
#' @param client A client; `NULL` for that of the session.
#' @return `NULL`, invisibly.
#' @examples
#' folder <- tempfile()
#' client <- runwire_connect(mode = "offline", spool_dir = folder)
#' run_id <- runwire_begin_run(experiment_name = "cars", client = client)
#' runwire_log_metric("loss", 0.5, run_id = run_id, client = client)
#' runwire_flush(client = client)
#' runwire_close(client)
#' unlink(folder, recursive = TRUE)
#' @export
runwire_flush <- function(timeout = NULL, client = NULL) {
  client <- given_client(client)
  deliver(client, call_time(client, timeout))
  checked(pipeline_lost(client$pipeline))
  invisible(NULL)
}

#' @rdname runwire_flush
#' @export
runwire_close <- function(client, timeout = NULL) {
  check_client(client)
  if (client$closed) {
    return(invisible(NULL))
  }
  on.exit(end_client(client))
  runwire_flush(timeout, client)
}

end_client <- function(client) {
  client$closed <- TRUE
  # Many clients, one after the other, would keep their connections until R collects them.
  if (!is.null(client$channel)) checked(channel_close(client$channel))
  client$channel <- NULL
  if (exists(client$key, envir = the$clients, inherits = FALSE)) rm(list = client$key, envir = the$clients)
  if (identical(the$session$client, client)) the$session$client <- NULL
  checked(pipeline_end(client$pipeline))
}

# As the session ends: runs that are open end, and what was logged is delivered or said to be not. All clients share the
# time that this may take, and an interrupt ends the waiting for all of them.
close_at_exit <- function() {
  session_runs <- rev(the$session$stack)
  set_stack(the$session, list())
  # A forked child leaves it to the parent.
  clients <- Filter(function(client) is_here(client$pipeline), mget(ls(the$clients), envir = the$clients))
  for (run in session_runs) {
    try(log_finish(attr(run, "client"), run$run_id, status_at_end(run$run_id), NULL), silent = TRUE)
  }
  began <- now()
  stopped <- FALSE
  for (client in clients) {
    patience <- client$spool$shutdown_timeout
    # What was logged last is on its way to the spool still.
    least <- min(patience, 1)
    wait <- function(seconds) checked(pipeline_deliver(client$pipeline, seconds, TRUE))
    found <- tryCatch(
      {
        # R itself keeps interrupts away from what is done at the end of a session.
        tryCatch(
          allowInterrupts(wait(if (stopped) least else max(patience - (now() - began), least))),
          interrupt = function(e) {
            stopped <<- TRUE
            wait(least)
          }
        )
        checked(pipeline_lost(client$pipeline))
      },
      error = identity
    )
    if (inherits(found, "error")) {
      # Whoever read stderr may be gone, and the other clients are to end all the same.
      try(cat("runwire: ", conditionMessage(found), "\n", sep = "", file = base::stderr()), silent = TRUE)
    }
    try(end_client(client), silent = TRUE)
  }
}
