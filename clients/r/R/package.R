#' runwire: record machine-learning runs over gRPC
#'
#' Logs params, metrics, tags and data sets of machine-learning runs to a Runwire server, and reads them back as data
#' frames.
#'
#' @details
#' What is logged returns at once and is delivered in the background, in the order of the calls and exactly once, also
#' while the server is away or restarts; [runwire_flush()], [runwire_end_run()] and the end of the session wait for it.
#' All other calls are on the server's disk when they return, and see all that was logged before.
#'
#' @section Environment:
#' `RUNWIRE_TRACKING_URI` names the server, `RUNWIRE_TOKEN` its token, `RUNWIRE_TLS_CA` a file with the certificates to
#' trust, `RUNWIRE_EXPERIMENT` the experiment, `RUNWIRE_RUN_ID` the run that the first [runwire_start_run()] resumes.
#' With `RUNWIRE_MODE=offline` no server is asked: runs begin, log and end in the folder `RUNWIRE_SPOOL_DIR` (else
#' `./runwire-offline`), for [runwire_sync()] or the command `runwire sync` to deliver.
#'
#' @section Numbers:
#' Steps, times and counts are 64-bit integers on the server. Here they are doubles as long as they lie within 2^53
#' either way, where a double holds each integer, and strings of digits beyond; a vector that has one such number is
#' a character vector. Both are taken as arguments, and bit64's `integer64` too. Metric values are doubles, kept bit
#' by bit; `NaN` is a value, `NA` is not, and neither is an `integer64` that no double holds.
#'
#' @examples
#' \dontrun{
#' runwire_set_tracking_uri("runwire://127.0.0.1:50051")
#' runwire_set_experiment("cars")
#' runwire_with_run({
#'   fit <- lm(mpg ~ wt, data = mtcars)
#'   runwire_log_param("formula", "mpg ~ wt")
#'   runwire_log_metric("r_squared", summary(fit)$r.squared)
#' })
#' }
#' @keywords internal
#' @useDynLib runwire, .registration = TRUE
#' @importFrom Rcpp sourceCpp
"_PACKAGE"

# What this session holds: the API's description, the open clients, and what the fluent functions remember.
the <- new.env(parent = emptyenv())

# Seconds after which a server that acknowledges nothing is taken for gone.
the$silence <- 30

.onLoad <- function(libname, pkgname) {
  path <- system.file("proto", "api.binpb", package = pkgname, lib.loc = libname)
  the$schema <- checked(schema_load(readBin(path, "raw", file.size(path))))
  the$clients <- new.env(parent = emptyenv())
  the$session <- new_session()
  # Not with each connection: a limit of time that ends within packageVersion() comes out of it as the error that there
  # is no such package.
  the$user_agent <- paste0("runwire-r/", utils::packageVersion(pkgname, lib.loc = libname))
  reg.finalizer(the$clients, function(clients) close_at_exit(), onexit = TRUE)
}

.onUnload <- function(libpath) {
  close_at_exit()
  library.dynam.unload("runwire", libpath)
}
