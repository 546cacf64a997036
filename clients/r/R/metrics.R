# The steps of a block.
steps_of <- function(block) {
  if (!is.null(block$steps)) {
    return(block$steps$steps)
  }
  regular_steps(block$range$first %||% 0, block$range$stride %||% 0, length(block$timestamps_ms))
}

# The blocks of messages as a data frame with a row for each point; within each run and key in the order in which they came.
points_frame <- function(parts) {
  runs <- keys <- steps <- times <- values <- vector("list", length(parts))
  for (i in seq_along(parts)) {
    block <- parts[[i]]$block
    width <- length(block$keys)
    rows <- length(block$timestamps_ms)
    runs[[i]] <- rep(parts[[i]]$run_id, rows * width)
    keys[[i]] <- rep(block$keys, each = rows)
    steps[[i]] <- rep(steps_of(block), width)
    times[[i]] <- rep(block$timestamps_ms, width)
    values[[i]] <- if (width == 1) block$values else as.vector(t(matrix(block$values, nrow = width)))
  }
  data.frame(
    run_id = as.character(unlist(runs)), key = as.character(unlist(keys)), step = bind_numbers(steps),
    timestamp = bind_numbers(times), value = as.numeric(unlist(values)), stringsAsFactors = FALSE
  )
}

# Puts the points of each run and key together, in the order of their first ones.
grouped <- function(points) {
  if (nrow(points) < 2) {
    return(points)
  }
  series <- paste(points$run_id, points$key, sep = "/")
  found <- points[order(match(series, unique(series))), , drop = FALSE]
  rownames(found) <- NULL
  found
}

#' Read the points of metrics
#'
#' @param run_id,run_ids The run, deleted or not; 1 to 100 of them.
#' @param key,keys The metric; at most 1,000 of them, `NULL` for all.
#' @param min_step,max_step Only points with a step of at least, at most this.
#' @inheritParams runwire_runs
#' @return A data frame with a row for each point, by step, time and arrival, and the columns `step`, `timestamp` (unix
#'   milliseconds) and `value`. Of `runwire_get_metric_history` it is of class `runwire_metric_history` too; of
#'   `runwire_get_metric_histories` it has the columns `run_id` and `key` in front. Values are bit for bit what was logged.
#'   Steps and times beyond 2^53 are strings of digits, and with them the whole column.
#' @examples
#' \dontrun{
#' history <- runwire_get_metric_history(run_id, "loss")
#' plot(value ~ step, data = history, type = "l")
#' }
#' @export
runwire_get_metric_history <- function(run_id, key, min_step = NULL, max_step = NULL, client = NULL, timeout = NULL) {
  run_id <- as_run_id(run_id)
  points <- read_points(run_id, check_string("key", key), min_step, max_step, client, timeout)
  structure(
    points[c("step", "timestamp", "value")],
    class = c("runwire_metric_history", "data.frame"), run_id = run_id, key = key
  )
}

read_points <- function(run_ids, keys, min_step, max_step, client, timeout) {
  request <- list(
    run_ids = check_strings("run_ids", run_ids), keys = check_strings("keys", keys), min_step = min_step,
    max_step = max_step
  )
  answers <- send_streaming(given_client(client), "MetricService", "GetMetricHistory", request, timeout)
  points_frame(unlist(lapply(answers, function(one) one$blocks), recursive = FALSE))
}

#' @rdname runwire_get_metric_history
#' @export
runwire_get_metric_histories <- function(run_ids, keys = NULL, min_step = NULL, max_step = NULL, client = NULL,
                                         timeout = NULL) {
  grouped(read_points(run_ids, keys, min_step, max_step, client, timeout))
}

#' @rdname runwire_get_metric_history
#' @param x A history.
#' @param ... Passed on to the method for data frames.
#' @export
format.runwire_metric_history <- function(x, ...) {
  paste0("<history of ", attr(x, "key"), ", run ", attr(x, "run_id"), ": ", counted(nrow(x), "point"), ">")
}

#' @rdname runwire_get_metric_history
#' @export
print.runwire_metric_history <- function(x, ...) print_frame(x, ...)

# A number of things, in words.
counted <- function(count, thing) paste0(count, " ", thing, if (count != 1) "s")

print_frame <- function(x, ...) {
  cat(format(x), "\n", sep = "")
  shown <- as.data.frame(x)
  print(utils::head(shown, 10), ...)
  if (nrow(x) > 10) cat("... and ", nrow(x) - 10, " more\n", sep = "")
  invisible(x)
}

#' @rdname runwire_get_metric_history
#' @export
`[.runwire_metric_history` <- function(x, ...) part_of(x, NextMethod(), c("step", "timestamp", "value"))

# A part of a history or curve is one itself as long as it has the columns of one.
part_of <- function(whole, part, columns) {
  if (!is.data.frame(part)) {
    return(part)
  }
  if (!all(columns %in% names(part))) {
    return(plain_frame(part))
  }
  for (name in frame_attributes) attr(part, name) <- attr(whole, name)
  part
}

# What histories and curves say of themselves.
frame_attributes <- c("run_id", "key", "axis", "points")

#' @rdname runwire_get_metric_history
#' @param object A history.
#' @export
summary.runwire_metric_history <- function(object, ...) {
  values <- object$value
  data.frame(
    key = attr(object, "key"), count = length(values), nan_count = sum(is.nan(values)), min = extreme(values, min),
    max = extreme(values, max), latest = if (length(values) > 0) values[length(values)] else NA_real_
  )
}

# The least or greatest of those that are numbers.
extreme <- function(values, of) {
  values <- values[!is.na(values)]
  if (length(values) > 0) of(values) else NA_real_
}

#' @rdname runwire_get_metric_history
#' @export
as.data.frame.runwire_metric_history <- function(x, ...) plain_frame(x)

plain_frame <- function(x) {
  class(x) <- "data.frame"
  for (name in frame_attributes) attr(x, name) <- NULL
  x
}

#' Read metrics as curves, to be drawn
#'
#' A curve shows a metric in at most `max_points` buckets, none of which hides a spike. It costs as much as it shows, not as
#' much as the run has logged.
#'
#' @param run_id,key The run and the metric.
#' @param series A data frame, or list, with `run_id` and `key`: up to 100 series; or `NULL`, and
#' @param run_ids,keys runs, each with all of these metrics.
#' @param max_points Most buckets of each curve, at most 10,000.
#' @param axis What x is: `"step"`, or `"time"` (unix milliseconds).
#' @param min_x,max_x Only points with an x of at least, at most this.
#' @inheritParams runwire_runs
#' @return A data frame of class `runwire_metric_curve` with a row for each bucket: `first_x`, `last_x`, `min_x`, `max_x`, `first`,
#'   `last`, `min`, `max`, `count` and `nan_count`; without rows if the run has no such metric. Its attributes are `run_id`,
#'   `key`, `axis` and `points`, the number of points that it shows. `runwire_get_metric_curves` returns a list of these, in the
#'   order asked for.
#' @examples
#' \dontrun{
#' plot(runwire_get_metric_curve(run_id, "loss"))
#' }
#' @export
runwire_get_metric_curve <- function(run_id, key, max_points = 1000, axis = c("step", "time"), min_x = NULL, max_x = NULL,
                                     client = NULL, timeout = NULL) {
  series <- list(run_id = as_run_id(run_id), key = check_string("key", key))
  runwire_get_metric_curves(series, NULL, NULL, max_points, axis, min_x, max_x, client, timeout)[[1]]
}

#' @rdname runwire_get_metric_curve
#' @export
runwire_get_metric_curves <- function(series = NULL, run_ids = NULL, keys = NULL, max_points = 1000,
                                      axis = c("step", "time"), min_x = NULL, max_x = NULL, client = NULL,
                                      timeout = NULL) {
  if (length(axis) == 2) axis <- axis[1]
  if (!is.character(axis) || length(axis) != 1 || !axis %in% c("step", "time")) {
    value_error("axis must be \"step\" or \"time\", and is ", format(axis))
  }
  if (is.null(series) == (is.null(run_ids) || is.null(keys)) || (!is.null(series) && !is.null(c(run_ids, keys)))) {
    value_error("give either series, with run_id and key, or run_ids and keys")
  }
  if (is.null(series)) {
    check_strings("run_ids", run_ids)
    check_strings("keys", keys)
    series <- list(run_id = rep(run_ids, each = length(keys)), key = rep(keys, length(run_ids)))
  }
  if (!is.list(series) || !is.character(series[["run_id"]]) || !is.character(series[["key"]])) {
    type_error("series must be a data frame, or list, with the texts run_id and key")
  }
  request <- list(
    series = Map(function(run, key) list(run_id = run, key = key), series[["run_id"]], series[["key"]]),
    max_points = max_points, axis = paste0("CURVE_AXIS_", toupper(axis)), min_x = min_x, max_x = max_x
  )
  answers <- send_streaming(given_client(client), "MetricService", "GetMetricCurve", request, timeout)
  lapply(unlist(lapply(answers, function(one) one$curves), recursive = FALSE), new_curve, axis = axis)
}

curve_columns <- c("first_x", "last_x", "min_x", "max_x", "first", "last", "min", "max", "count", "nan_count")

new_curve <- function(message, axis) {
  structure(
    as.data.frame(message[curve_columns], stringsAsFactors = FALSE),
    class = c("runwire_metric_curve", "data.frame"), run_id = message$series$run_id, key = message$series$key,
    axis = axis, points = message$points
  )
}

#' @rdname runwire_get_metric_curve
#' @param x A curve.
#' @param ... Passed on to the method for data frames, or to [plot()].
#' @export
format.runwire_metric_curve <- function(x, ...) {
  paste0("<curve of ", attr(x, "key"), ", run ", attr(x, "run_id"), ": ", counted(nrow(x), "bucket"), ">")
}

#' @rdname runwire_get_metric_curve
#' @export
print.runwire_metric_curve <- function(x, ...) print_frame(x, ...)

#' @rdname runwire_get_metric_curve
#' @export
`[.runwire_metric_curve` <- function(x, ...) {
  found <- part_of(x, NextMethod(), curve_columns)
  if (inherits(found, "runwire_metric_curve")) attr(found, "points") <- sum(as.numeric(found$count))
  found
}

#' @rdname runwire_get_metric_curve
#' @param object A curve.
#' @export
summary.runwire_metric_curve <- function(object, ...) {
  data.frame(
    key = attr(object, "key"), points = attr(object, "points"), buckets = nrow(object),
    nan_count = sum(as.numeric(object$nan_count)), min = extreme(object$min, min), max = extreme(object$max, max),
    latest = if (nrow(object) > 0) object$last[nrow(object)] else NA_real_
  )
}

#' @rdname runwire_get_metric_curve
#' @export
as.data.frame.runwire_metric_curve <- function(x, ...) plain_frame(x)

#' @rdname runwire_get_metric_curve
#' @export
plot.runwire_metric_curve <- function(x, ...) {
  at <- function(column) as.numeric(x[[column]])
  # Each bucket by what it begins with, its extremes and what it ends with, in the order of x.
  places <- rbind(at("first_x"), at("min_x"), at("max_x"), at("last_x"))
  values <- rbind(x$first, x$min, x$max, x$last)
  index <- cbind(as.vector(apply(places, 2, order)), as.vector(col(places)))
  given <- list(...)
  more <- list(xlab = attr(x, "axis"), ylab = attr(x, "key"), type = "l")
  # Where there is nothing to see, there are no limits to be found either.
  if (nrow(x) == 0) more$xlim <- c(0, 1)
  if (!any(is.finite(values))) more$ylim <- c(0, 1)
  do.call(
    graphics::plot,
    c(list(x = places[index], y = values[index]), given, more[setdiff(names(more), names(given))])
  )
  invisible(x)
}

#' Ask the server what it is, and look after its store
#'
#' `runwire_purge` removes for good what was deleted. `runwire_storage_stats` counts what the metric points take on the
#' server's disk.
#'
#' @param older_than Only what was deleted at least this long ago: seconds, or a `difftime`.
#' @inheritParams runwire_runs
#' @return `runwire_server_info` returns a list of class `runwire_server_info` with `version`, `api_version`, `database`, `features` and `limits` (a named
#'   list). `runwire_purge` returns a list with the numbers of `runs` and `experiments` removed. `runwire_storage_stats` returns
#'   a list with `parts` (a data frame), `points`, `backlog_bytes`, `database_bytes` and `wal_bytes`.
#' @examples
#' \dontrun{
#' runwire_server_info()$version
#' }
#' @export
runwire_server_info <- function(client = NULL, timeout = NULL) {
  found <- send(given_client(client), "ServerService", "GetServerInfo", list(), timeout, behind_logs = FALSE)
  structure(found[c("version", "api_version", "database", "features", "limits")], class = "runwire_server_info")
}

#' @rdname runwire_server_info
#' @param x What a server said of itself. As a data frame it has a row for each of its limits.
#' @param ... Not used.
#' @export
format.runwire_server_info <- function(x, ...) {
  paste0("<runwire server ", x$version, ": API ", x$api_version, ", ", x$database, ">")
}

#' @rdname runwire_server_info
#' @export
print.runwire_server_info <- function(x, ...) {
  cat(format(x), "\n", sep = "")
  if (length(x$features) > 0) cat("features: ", paste(x$features, collapse = ", "), "\n", sep = "")
  if (length(x$limits) > 0) print(as.data.frame(x), row.names = FALSE)
  invisible(x)
}

#' @rdname runwire_server_info
#' @export
as.data.frame.runwire_server_info <- function(x, ...) {
  data.frame(limit = names(x$limits), value = bind_numbers(unname(as.list(x$limits))), stringsAsFactors = FALSE)
}

#' @rdname runwire_server_info
#' @export
runwire_purge <- function(older_than = 0, client = NULL, timeout = NULL) {
  request <- list(older_than = seconds(older_than, "older_than", zero = TRUE), request_id = request_id())
  send(given_client(client), "ServerService", "Purge", request, timeout)
}

#' @rdname runwire_server_info
#' @export
runwire_storage_stats <- function(client = NULL, timeout = NULL) {
  found <- send(given_client(client), "ServerService", "GetStorageStats", list(), timeout)
  parts <- data.frame(name = vapply(found$parts, function(one) one$name, ""), stringsAsFactors = FALSE)
  for (column in c("rows", "points", "bytes")) {
    parts[[column]] <- bind_numbers(lapply(found$parts, function(one) one[[column]]))
  }
  found$parts <- parts
  found
}

#' Send a call as it is
#'
#' The way out where this package has no function: serialised messages go out, serialised messages come back. The functions
#' named `rpc_`, as [rpc_get_run()], take and return lists instead.
#'
#' @param method The method's path, such as `"/runwire.v1.RunService/GetRun"`.
#' @param requests A list of raw vectors, one for a method that takes one message. All are sent, then the answers are
#'   gathered.
#' @inheritParams runwire_runs
#' @return A list of raw vectors.
#' @examples
#' \dontrun{
#' runwire_call_raw("/runwire.v1.ServerService/GetServerInfo", list(raw()))
#' }
#' @export
runwire_call_raw <- function(method, requests, client = NULL, timeout = NULL) {
  client <- given_client(client)
  if (!is.list(requests) || !all(vapply(requests, is.raw, NA))) {
    type_error("requests must be a list of raw vectors")
  }
  left <- time_left(call_time(client, timeout))
  check_online(client, method)
  deliver(client, left())
  channel <- checked(channel_of(client, left()))
  checked(call_bytes(channel, check_string("method", method), requests, left()))
}
