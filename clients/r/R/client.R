#' How failed calls are repeated
#'
#' A call is repeated, with the same request id, when the server or its database can not be reached, when other
#' transactions got in its way, and when a full disk asks for patience. Pauses grow from `initial` by `multiplier` up
#' to `maximum`, each drawn at random between 0 and that; a delay that the server asks for comes on top. All attempts
#' share the call's timeout.
#'
#' @param initial Longest first pause, seconds.
#' @param multiplier Growth of the pause from one attempt to the next.
#' @param maximum Longest pause, seconds.
#' @param max_attempts Most attempts of a call; `Inf` for as many as its timeout has room for, 1 for none but the
#'   first.
#' @param connect_timeout Seconds after which a client that never reached its server gives up. One that did reach it
#'   waits for its return until the call's timeout.
#' @return A list of class `runwire_retry`, for [runwire_connect()].
#' @examples
#' runwire_retry(max_attempts = 1)
#' @export
runwire_retry <- function(initial = 0.1, multiplier = 2, maximum = 2, max_attempts = Inf, connect_timeout = 3) {
  initial <- seconds(initial, "initial")
  maximum <- seconds(maximum, "maximum")
  if (maximum < initial) {
    value_error("maximum must be at least initial, ", format(initial), " seconds, and is ", format(maximum))
  }
  at_least_one("multiplier", multiplier)
  at_least_one("max_attempts", max_attempts)
  if (is.finite(max_attempts) && max_attempts != trunc(max_attempts)) {
    value_error("max_attempts must be a whole number or Inf, and is ", format(max_attempts))
  }
  structure(
    list(
      initial = initial, multiplier = multiplier, maximum = maximum, max_attempts = max_attempts,
      connect_timeout = seconds(connect_timeout, "connect_timeout", zero = TRUE)
    ),
    class = "runwire_retry"
  )
}

at_least_one <- function(what, given) {
  if (!is.numeric(given) || is.object(given) || length(given) != 1) {
    type_error(what, " must be one number")
  }
  if (!isTRUE(given >= 1)) {
    value_error(what, " must be at least 1, and is ", format(given))
  }
}

#' @rdname runwire_retry
#' @param x What [runwire_retry()] returned.
#' @param ... Not used.
#' @export
format.runwire_retry <- function(x, ...) paste0("<runwire retry: ", pairs_line(unlist(unclass(x))), ">")

#' @rdname runwire_retry
#' @export
print.runwire_retry <- function(x, ...) {
  cat(format(x), "\n", sep = "")
  invisible(x)
}

#' Connect to a server
#'
#' Makes a client; it connects at its first call. The functions of this package take one as `client`, and go by that of
#' the session without (see [runwire_set_tracking_uri()]).
#'
#' @param address `runwire://host:port` (plain text), `runwires://host:port` (TLS), `unix:path` or `host:port`; or a
#'   folder such as `./runwire-data` that a server on this machine has open. `NULL` for the environment's
#'   `RUNWIRE_TRACKING_URI`.
#' @param token The server's token; `NULL` for the environment's `RUNWIRE_TOKEN`, else none.
#' @param tls_ca PEM file with the certificates to trust; `NULL` for the environment's `RUNWIRE_TLS_CA`, else those
#'   that gRPC trusts by default.
#' @param timeout Seconds that a call may take, its repeats included; this and other durations may be a `difftime`.
#' @param retry How to repeat failed calls, see [runwire_retry()].
#' @param mode `"online"`, or `"offline"` to begin, log and end runs without a server, for [runwire_sync()] to deliver;
#'   `NULL` for the environment's `RUNWIRE_MODE`, else online.
#' @param spool_dir Folder for what is logged and not delivered; `NULL` for the environment's `RUNWIRE_SPOOL_DIR`, else
#'   `./runwire-offline` offline, and online a folder of the user's.
#' @param spool_bytes Most bytes of that. It is reached when the server is away for long.
#' @param on_spool_full What a call that logs does then: `"block"` until there is room, or `"error"`. Offline it is
#'   always an error.
#' @param shutdown_timeout Seconds that the end of the session may wait for the delivery of what was logged; what is
#'   not delivered then stays in the folder, for [runwire_sync()].
#' @param experiment The name of the experiment in which runs are started that name none; it is created if there is none.
#'   `NULL` for the environment's `RUNWIRE_EXPERIMENT`, else Default.
#' @return A client, of class `runwire_client`.
#' @examples
#' folder <- tempfile()
#' client <- runwire_connect(mode = "offline", spool_dir = folder)
#' client
#' runwire_close(client)
#' unlink(folder, recursive = TRUE)
#' @export
runwire_connect <- function(address = NULL, token = NULL, tls_ca = NULL, timeout = 30, retry = runwire_retry(),
                            mode = NULL, spool_dir = NULL, spool_bytes = 2^30, on_spool_full = c("block", "error"),
                            shutdown_timeout = 60, experiment = NULL) {
  if (!inherits(retry, "runwire_retry")) {
    type_error("retry must be made by runwire_retry()")
  }
  client <- structure(new.env(parent = emptyenv()), class = "runwire_client")
  client$mode <- find_mode(mode)
  client$settings <- find_settings(address, token, tls_ca, timeout, retry, client$mode)
  client$settings$experiment <- if (!is.null(experiment)) check_string("experiment", experiment)
  client$spool <- find_spool(client, spool_dir, spool_bytes, match_full(on_spool_full), shutdown_timeout)
  client$reached <- FALSE
  client$closed <- FALSE
  client$retired <- FALSE
  # Those of the runs that began here, by id or by name.
  client$experiments <- new.env(parent = emptyenv())
  client$pipeline <- open_pipeline(client)
  client$key <- format(client$spool$id)
  assign(client$key, client, envir = the$clients)
  client
}

match_full <- function(on_spool_full) {
  if (length(on_spool_full) == 2) on_spool_full <- on_spool_full[1]
  if (!is.character(on_spool_full) || length(on_spool_full) != 1 || !on_spool_full %in% c("block", "error")) {
    value_error("on_spool_full must be \"block\" or \"error\", and is ", toString(format(on_spool_full)))
  }
  on_spool_full
}

find_mode <- function(mode) {
  found <- mode %||% env("RUNWIRE_MODE") %||% "online"
  if (!identical(found, "online") && !identical(found, "offline")) {
    value_error("the mode must be \"online\" or \"offline\", and is ", format(found))
  }
  found
}

find_settings <- function(address, token, tls_ca, timeout, retry, mode) {
  named <- address %||% env("RUNWIRE_TRACKING_URI")
  if (is.null(named) && mode == "online") {
    value_error(
      "no server is named: set RUNWIRE_TRACKING_URI, or call runwire_set_tracking_uri(), such as ",
      "\"runwire://127.0.0.1:50051\"; start one with `runwire server`"
    )
  }
  where <- if (!is.null(named)) parse_address(named)
  authority <- if (is.null(tls_ca)) env("RUNWIRE_TLS_CA") else check_string("tls_ca", tls_ca)
  if (!is.null(tls_ca) && !isTRUE(where$secure)) {
    value_error("tls_ca is for runwires:// addresses, and ", where$text %||% "no address", " is plain text")
  }
  if (isTRUE(where$secure) && !is.null(authority) && !file.exists(authority)) {
    value_error("the file of certificates ", authority, " can not be read")
  }
  trusted <- if (isTRUE(where$secure) && !is.null(authority)) readLines(authority, warn = FALSE)
  list(
    address = where, token = find_token(token), timeout = seconds(timeout), retry = retry,
    tls_ca = paste(trusted, collapse = "\n")
  )
}

find_token <- function(token) {
  found <- trimws(check_string("token", token %||% env("RUNWIRE_TOKEN") %||% ""))
  if (!grepl("^[ -~]*$", found)) {
    value_error("the token may hold printable ASCII characters only")
  }
  found
}

# The channel, opened at the first use; that of a folder leads to the server that has the folder open now. A failure if
# the folder has none, which is an attempt that failed: one may be starting.
channel_of <- function(client, timeout) {
  check_open(client)
  if (is.null(client$channel)) {
    found <- open_channel(client, timeout)
    if (is_failure(found)) {
      return(found)
    }
    client$channel <- found
  }
  client$channel
}

open_channel <- function(client, timeout) {
  given <- client$settings
  where <- given$address
  if (!is.null(where$folder)) {
    found <- local_server(where$folder, timeout)
    if (inherits(found, "runwire_problem")) {
      return(away_failure(found$message, joined = FALSE))
    }
    where <- parse_address(found)
  }
  checked(channel_open(
    where$target, where$secure, where$local, given$tls_ca, given$token, given$retry$connect_timeout, the$user_agent
  ))
}

# The server could not be reached: that of a folder may be elsewhere by now, and a channel that could not connect fails
# the next call with its old failure.
lose_server <- function(client) {
  if (!is.null(client$settings$address$folder) || !client$reached) client$channel <- NULL
}

check_online <- function(client, method) {
  if (client$mode == "offline") {
    stop(failed_precondition(
      method, " needs a server, and this client is offline (RUNWIRE_MODE); what it logs lies in ", client$spool$root,
      " until `runwire sync` delivers it"
    ))
  }
}

check_open <- function(client) if (client$closed) value_error("the client is closed")

check_client <- function(client) {
  if (!inherits(client, "runwire_client")) {
    type_error("client must be made by runwire_connect()")
  }
  client
}

#' @rdname runwire_connect
#' @param x A client.
#' @param ... Not used.
#' @export
format.runwire_client <- function(x, ...) {
  where <- if (x$mode == "offline") x$spool$root else x$settings$address$text
  paste0("<runwire client: ", x$mode, ", ", where, if (x$closed) ", closed", ">")
}

#' @rdname runwire_connect
#' @export
print.runwire_client <- function(x, ...) {
  cat(format(x), "\n", sep = "")
  invisible(x)
}
