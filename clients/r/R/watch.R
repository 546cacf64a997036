#' Watch runs
#'
#' Gives each new point as soon as it is on the server's disk. `runwire_watch_metrics` calls a function with each event;
#' `runwire_watch` returns a watch, from which `runwire_watch_next` takes the events.
#'
#' A connection that breaks is made again, and goes on where it was, without loss or repeat. The first event comes at once,
#' and may be empty: it says that the watch is in place. An interrupt ends it at once.
#'
#' @param run_ids 1 to 100 runs, deleted or not.
#' @param on_event Called with each event; `FALSE` ends the watch.
#' @param keys The metrics; `NULL` for all.
#' @param cursor The cursor of an earlier event of the same runs, to go on behind it.
#' @param from_start Without a cursor: begin with the first point of each run, not with the next new one.
#' @param client A client; `NULL` for that of the session.
#' @param watch A watch.
#' @param timeout Most seconds to wait for the event, or a `difftime`.
#' @return `runwire_watch` returns an object of class `runwire_watch`. An event is a list with `points`, a data frame with the
#'   columns `run_id`, `key`, `step`, `timestamp` and `value`; `cursor`; and `resync_run_ids`, runs of which points were
#'   skipped because the watch fell far behind. `runwire_watch_next` returns `NULL` if none came in time, or the watch is
#'   closed. `runwire_watch_metrics` returns the last cursor, invisibly.
#' @examples
#' \dontrun{
#' runwire_watch_metrics(run_id, function(event) print(event$points), keys = "loss")
#' }
#' @export
runwire_watch_metrics <- function(run_ids, on_event, keys = NULL, cursor = NULL, from_start = FALSE, client = NULL) {
  if (!is.function(on_event)) {
    type_error("on_event must be a function")
  }
  watch <- runwire_watch(run_ids, keys, cursor, from_start, client)
  on.exit(close(watch))
  repeat {
    event <- runwire_watch_next(watch)
    if (is.null(event) || identical(on_event(event), FALSE)) break
  }
  invisible(watch$cursor)
}

#' @rdname runwire_watch_metrics
#' @export
runwire_watch <- function(run_ids, keys = NULL, cursor = NULL, from_start = FALSE, client = NULL) {
  watch <- new.env(parent = emptyenv())
  watch$client <- given_client(client)
  watch$request <- list(
    run_ids = check_strings("run_ids", run_ids), keys = check_strings("keys", keys), from_start = from_start
  )
  watch$cursor <- cursor %||% ""
  watch$began <- watch$closed <- watch$reached <- FALSE
  structure(watch, class = "runwire_watch")
}

#' @rdname runwire_watch_metrics
#' @export
runwire_watch_next <- function(watch, timeout = Inf) {
  if (!inherits(watch, "runwire_watch")) {
    type_error("watch must be made by runwire_watch()")
  }
  end <- now() + seconds(timeout, zero = TRUE)
  while (!watch$closed) {
    found <- watch_message(watch, end)
    if (identical(found, FALSE)) {
      return(NULL)
    }
    if (is_failure(found)) {
      watch_pause(watch, found, end)
      if (now() >= end) {
        return(NULL)
      }
      next
    }
    event <- watch_event(watch, found)
    if (!is.null(event)) {
      return(event)
    }
  }
  NULL
}

# One message; FALSE if none came until the end; or how the stream failed.
watch_message <- function(watch, end) {
  client <- watch$client
  left <- function() max(end - now(), 0)
  check_online(client, "WatchMetrics")
  if (is.null(watch$stream)) {
    # Behind what was logged, the first time; afterwards it goes on behind its cursor and waits for nothing.
    if (!watch$began) {
      check_open(client)
      found <- pipeline_deliver(client$pipeline, min(client$settings$timeout, left()), FALSE)
      if (is_failure(found) && left() == 0) {
        return(FALSE)
      }
      checked(found)
    }
    request <- c(watch$request, cursor = watch$cursor)
    stream <- open_stream(client, "MetricService", "WatchMetrics", request, Inf)
    if (is_failure(stream)) {
      return(stream)
    }
    watch$stream <- stream
  }
  found <- checked_problem(stream_read(the$schema, watch$stream, left()))
  if (is.null(found)) {
    found <- away_failure("the server ended the watch")
  }
  if (is_failure(found)) watch$stream <- NULL
  found
}

checked_problem <- function(found) if (inherits(found, "runwire_problem")) checked(found) else found

# Waits before connecting again, until the given end at most, or raises the error where there is no use in that.
watch_pause <- function(watch, failure, end) {
  # A stream that broke, in whatever words of gRPC or a proxy, is a server that went away.
  if (!nzchar(failure$reason) && failure$code %in% c("INTERNAL", "UNKNOWN", "CANCELLED")) {
    failure <- away_failure(failure$message)
  }
  if (is.null(watch$attempts)) {
    watch$attempts <- new_attempts(watch$client, Inf, reached = watch$reached)
  }
  wait_after(watch$client, watch$attempts, failure, end - now())
}

# Takes a message in; NULL if it has nothing to tell.
watch_event <- function(watch, message) {
  watch$cursor <- message$cursor
  watch$attempts <- NULL
  watch$reached <- TRUE
  tells <- !watch$began || length(message$blocks) > 0 || length(message$resync_run_ids) > 0
  watch$began <- TRUE
  if (tells) {
    structure(
      list(points = points_frame(message$blocks), cursor = message$cursor, resync_run_ids = message$resync_run_ids),
      class = "runwire_metric_event"
    )
  }
}

#' @rdname runwire_watch_metrics
#' @param con A watch.
#' @param ... Not used.
#' @export
close.runwire_watch <- function(con, ...) {
  con$closed <- TRUE
  if (!is.null(con$stream)) stream_cancel(con$stream)
  con$stream <- NULL
  invisible(NULL)
}

#' @rdname runwire_watch_metrics
#' @export
format.runwire_watch <- function(x, ...) {
  paste0("<watch of ", counted(length(x$request$run_ids), "run"), if (x$closed) ", closed", ">")
}

#' @rdname runwire_watch_metrics
#' @export
print.runwire_watch <- function(x, ...) {
  cat(format(x), "\n", sep = "")
  invisible(x)
}

#' @rdname runwire_watch_metrics
#' @param x,object A watch, or an event. As a data frame an event is its points, and its summary has a row for each run and
#'   metric: how many new points there are, and the latest.
#' @export
format.runwire_metric_event <- function(x, ...) paste0("<", counted(nrow(x$points), "new point"), ">")

#' @rdname runwire_watch_metrics
#' @export
as.data.frame.runwire_metric_event <- function(x, ...) x$points

#' @rdname runwire_watch_metrics
#' @export
summary.runwire_metric_event <- function(object, ...) {
  points <- object$points
  series <- paste(points$run_id, points$key, sep = "/")
  latest <- points[!duplicated(series, fromLast = TRUE), , drop = FALSE]
  count <- table(series)[series[!duplicated(series, fromLast = TRUE)]]
  data.frame(
    run_id = latest$run_id, key = latest$key, count = as.integer(count), step = latest$step, value = latest$value,
    stringsAsFactors = FALSE
  )
}

#' @rdname runwire_watch_metrics
#' @export
print.runwire_metric_event <- function(x, ...) {
  cat(format(x), "\n", sep = "")
  if (nrow(x$points) > 0) print(x$points)
  invisible(x)
}
