#' Errors of Runwire
#'
#' Every call that fails on the server, or on the way to it, signals a condition of class `runwire_error`, and before
#' that of more special classes, for [tryCatch()]:
#'
#' * one of the server's reason, as `runwire_run_not_found` or `runwire_param_immutable`: the names of `ErrorReason` in
#'   `runwire/v1/error.proto` in small letters;
#' * one of the gRPC status code: `runwire_aborted`, `runwire_already_exists`, `runwire_cancelled`,
#'   `runwire_data_loss`, `runwire_deadline_exceeded`, `runwire_failed_precondition`, `runwire_internal`,
#'   `runwire_invalid_argument`, `runwire_not_found`, `runwire_out_of_range`, `runwire_permission_denied`,
#'   `runwire_resource_exhausted`, `runwire_unauthenticated`, `runwire_unavailable`, `runwire_unimplemented` or
#'   `runwire_unknown`;
#' * `runwire_server_unavailable`, before `runwire_unavailable`, where nothing answers at the address.
#'
#' What is wrong with an argument before anything is sent signals `runwire_type_error` or `runwire_value_error`. In a
#' process that was forked from one that uses Runwire, as by `parallel::mclapply`, it is `runwire_forked`.
#'
#' @section Fields:
#' A `runwire_error` has, beside `message`: `code`, the name of the status code; `reason`, the name of the
#' `ErrorReason`, or `""`; `metadata`, a named character vector with what the reason speaks of; `violations`, a data
#' frame with the columns `field` and `description`; and `retry_delay`, seconds after which the server says that a
#' repeat may help, or `NULL`.
#'
#' @examples
#' folder <- tempfile()
#' client <- runwire_connect(mode = "offline", spool_dir = folder)
#' tryCatch(
#'   runwire_get_run("0198c5a4d7b27d0a8f3b1c2d3e4f5a6b", client = client),
#'   runwire_not_found = function(e) "there is no such run",
#'   runwire_error = function(e) e$code
#' )
#' runwire_close(client)
#' unlink(folder, recursive = TRUE)
#' @name runwire_errors
NULL

new_error <- function(code, message, reason = "", metadata = character(), violations = character(),
                      retry_delay = NULL, class = NULL) {
  classes <- c(if (nzchar(reason)) paste0("runwire_", tolower(reason)), class, paste0("runwire_", tolower(code)))
  structure(
    class = unique(c(classes, "runwire_error", "error", "condition")),
    list(
      message = message, call = NULL, code = code, reason = reason, metadata = metadata,
      violations = data.frame(field = names(violations) %||% character(), description = unname(violations)),
      retry_delay = retry_delay
    )
  )
}

failed_precondition <- function(...) {
  new_error("FAILED_PRECONDITION", paste0(...))
}

is_failure <- function(found) inherits(found, "runwire_failure")

# What C++ would say of a call that found no server. `joined` is FALSE for that of a folder which was not even found.
away_failure <- function(message, joined = TRUE) {
  structure(
    list(
      code = "UNAVAILABLE", message = message, reason = "", metadata = character(), violations = character(),
      retry_delay = NULL, joined = joined
    ),
    class = "runwire_failure"
  )
}

# What C++ says of a failed call, as an error.
failure_error <- function(failure) {
  # No Runwire server said this: gRPC did, having no connection, or a proxy on the way.
  away <- failure$code == "UNAVAILABLE" && !nzchar(failure$reason)
  new_error(
    failure$code, failure$message, failure$reason, failure$metadata, failure$violations, failure$retry_delay,
    class = if (away) "runwire_server_unavailable"
  )
}

# What C++ found to be wrong before anything was sent, as an error.
problem_error <- function(problem) {
  kind <- problem$kind
  if (kind %in% c("type", "value", "forked")) {
    class <- c(type = "runwire_type_error", value = "runwire_value_error", forked = "runwire_forked")[[kind]]
    return(structure(class = c(class, "error", "condition"), list(message = problem$message, call = NULL)))
  }
  if (kind == "state") {
    return(structure(
      class = c("runwire_value_error", "error", "condition"), list(message = problem$message, call = NULL)
    ))
  }
  field <- problem$field
  if (!nzchar(field)) {
    return(new_error(kind, problem$message, class = if (kind == "UNAVAILABLE") "runwire_server_unavailable"))
  }
  # The words may have another name for the field than the server.
  rule <- sub("^[^:]*: ", "", problem$message)
  new_error(kind, problem$message, "INVALID_FIELD", c(field = field), stats::setNames(rule, field))
}

usage_error <- function(kind, ...) {
  stop(problem_error(list(kind = kind, message = paste0(...), field = "")))
}

type_error <- function(...) usage_error("type", ...)

value_error <- function(...) usage_error("value", ...)

# Raises what C++ returned if that is an error, and returns it else.
checked <- function(found) {
  if (inherits(found, "runwire_problem")) stop(problem_error(found))
  if (is_failure(found)) stop(failure_error(found))
  found
}

`%||%` <- function(x, y) if (is.null(x)) y else x
