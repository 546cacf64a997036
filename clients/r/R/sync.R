#' Deliver what was logged offline, or left behind
#'
#' Delivers spools that nobody writes any more: of offline runs, and of sessions that ended before all was delivered. Each
#' frame arrives once, however often this is tried. The command `runwire sync` of the Python package does the same; spools of
#' all languages are alike.
#'
#' @param folder A spool, or a folder of spools; `NULL` for the environment's `RUNWIRE_SPOOL_DIR`, else `./runwire-offline`.
#' @param as_new_writer Deliver what is not acknowledged under a new name: where the server and the spool have come apart.
#'   What the server has of it without the spool knowing is there twice then.
#' @inheritParams runwire_connect
#' @param address The server; `NULL` for the one that each spool is for, else the environment's `RUNWIRE_TRACKING_URI`.
#' @return A data frame with a row for each spool: `folder`; `delivered` and `left`, numbers of frames; `rejected` and
#'   `skipped`, lists of sentences on what the server rejected and what was torn; and `problem`, why frames are left, or
#'   `""`.
#' @examples
#' folder <- tempfile()
#' dir.create(folder)
#' runwire_sync(folder)
#' unlink(folder, recursive = TRUE)
#' @export
runwire_sync <- function(folder = NULL, address = NULL, token = NULL, tls_ca = NULL, as_new_writer = FALSE, timeout = 30,
                         retry = runwire_retry()) {
  check_flag("as_new_writer", as_new_writer)
  root <- absolute(check_string("folder", folder %||% env("RUNWIRE_SPOOL_DIR") %||% default_offline))
  found <- lapply(checked(spool_list(root)), function(one) {
    sync_one(one, address, token, tls_ca, as_new_writer, timeout, retry)
  })
  column <- function(name, kind) vapply(found, function(one) one[[name]], kind)
  data.frame(
    folder = column("folder", ""), delivered = column("delivered", 0), left = column("left", 0),
    rejected = I(lapply(found, function(one) one$rejected)), skipped = I(lapply(found, function(one) one$skipped)),
    problem = column("problem", ""), stringsAsFactors = FALSE
  )
}

sync_one <- function(folder, address, token, tls_ca, as_new_writer, timeout, retry) {
  spool <- spool_open(folder, as_new_writer)
  if (inherits(spool, "runwire_problem")) {
    return(list(
      folder = folder, delivered = 0, left = 0, rejected = character(), skipped = character(),
      problem = spool$message
    ))
  }
  on.exit(spool_close(spool$pointer))
  where <- address %||% empty_to_null(spool$address) %||% env("RUNWIRE_TRACKING_URI")
  settings <- find_settings(where, token, tls_ca, timeout, retry, "online")
  options <- delivery_options(list(settings = settings))
  c(spool["folder"], spool["skipped"], checked(spool_carry(spool$pointer, options, settings$timeout)))
}
