#' Log metrics, params, tags and data sets
#'
#' Logging returns at once: what is logged goes through files on this machine to the server, in the order of the calls and
#' exactly once, also while the server is away or restarts. What is wrong with the arguments is an error here. What the
#' server rejects (the run is deleted, a param would change ...) is raised by the next [runwire_flush()],
#' [runwire_end_run()] or [runwire_finish_run()]. When the buffers on the way are full, a call waits.
#'
#' `runwire_log_series` is the cheapest way for many points of one metric. `runwire_log_batch` logs points, params and tags: all
#' or none.
#'
#' @param key The key of a metric, param or tag: 1 to 250 characters.
#' @param value A number; of a param or tag a single value, sent as text.
#' @param step The step, a whole number; a string of digits beyond 2^53. `NULL` for 0.
#' @param timestamp When it was measured: a `POSIXct`, `POSIXlt` or `Date`, or unix milliseconds; `NULL` for now.
#' @param metrics A named vector or list of numbers: values of one step. For `runwire_log_batch` that (at step 0), or a data
#'   frame with the columns `key` and `value` and, if wanted, `step` and `timestamp`, or a list of blocks that
#'   [runwire_metric_block()] made.
#' @param values A numeric vector of any length.
#' @param steps As many whole numbers; `NULL` for 0, 1, 2 ...
#' @param timestamps As many times, or one for all; `NULL` for now.
#' @param params,tags A named vector or list of single values, or a data frame with the columns `key` and `value`; at most
#'   1,000.
#' @param datasets,dataset One or several data sets that [runwire_dataset()] made.
#' @param context What the run uses the data set for, such as `"training"`.
#' @param run_id The run; `NULL` for the current one, which is started if there is none.
#' @param client A client; `NULL` for that of the current run, else of the session.
#' @return `NULL`, invisibly; `runwire_log_param` the value.
#' @examples
#' folder <- tempfile()
#' client <- runwire_connect(mode = "offline", spool_dir = folder)
#' run <- runwire_start_run(experiment_name = "cars", client = client)
#' runwire_log_params(list(model = "lm", degree = 2))
#' for (step in 1:3) runwire_log_metric("loss", 1 / step, step = step)
#' runwire_log_metrics(c(rmse = 2.9, r_squared = 0.75), step = 3)
#' runwire_log_series("residual", residuals(lm(mpg ~ wt, data = mtcars)))
#' runwire_log_input(runwire_dataset_from_data_frame(mtcars, "mtcars"), "training")
#' runwire_set_tag("team", "red")
#' runwire_end_run()
#' runwire_close(client)
#' unlink(folder, recursive = TRUE)
#' @export
runwire_log_metric <- function(key, value, step = NULL, timestamp = NULL, run_id = NULL, client = NULL) {
  # A training loop pays for this at each point: nothing here looks for methods, and there are few calls.
  if (is.null(run_id) && is.null(run_id <- the$session$run_id)) run_id <- runwire_start_run(client = client)$run_id
  if (!is.null(timestamp)) timestamp <- plain_times(timestamp)
  holder <- if (is.null(client)) the$session else client
  found <- .Call(`_runwire_log_point`, holder, run_id, key, value, step, timestamp)
  if (!is.null(found)) {
    if (isFALSE(found)) found <- log_point(given_client(client), run_id, key, value, step, timestamp)
    checked(found)
  }
  invisible(NULL)
}

current_run_id <- function(client) {
  if (!is.null(client)) check_client(client)
  found <- the$session$run_id
  if (is.null(found)) runwire_start_run(client = client)$run_id else found
}

#' @rdname runwire_log_metric
#' @export
runwire_log_metrics <- function(metrics, step = NULL, timestamp = NULL, run_id = NULL, client = NULL) {
  if (is.null(run_id)) run_id <- current_run_id(client)
  client <- logging_client(client)
  found <- log_row(client$pipeline, run_id, metrics, step, plain_times(timestamp))
  if (!is.null(found)) checked(found)
  invisible(NULL)
}

#' @rdname runwire_log_metric
#' @export
runwire_log_series <- function(key, values, steps = NULL, timestamps = NULL, run_id = NULL, client = NULL) {
  if (is.null(run_id)) run_id <- current_run_id(client)
  client <- logging_client(client)
  checked(log_series(client$pipeline, run_id, key, values, steps, plain_times(timestamps)))
  invisible(NULL)
}

#' @rdname runwire_log_metric
#' @export
runwire_log_batch <- function(metrics = NULL, params = NULL, tags = NULL, run_id = NULL, client = NULL) {
  if (is.null(run_id)) run_id <- current_run_id(client)
  client <- logging_client(client)
  given <- batch_metrics(metrics)
  checked(log_batch(
    client$pipeline, run_id, given$points, given$blocks, as_pairs("param", params), as_pairs("tag", tags)
  ))
  invisible(NULL)
}

# Points as columns, or blocks.
batch_metrics <- function(metrics) {
  points <- NULL
  blocks <- list()
  if (is.data.frame(metrics)) {
    if (!all(c("key", "value") %in% names(metrics))) {
      type_error("a data frame of metrics needs the columns key and value")
    }
    points <- list(
      key = as.character(metrics[["key"]]), value = metrics[["value"]], step = metrics[["step"]],
      timestamp = plain_times(metrics[["timestamp"]])
    )
  } else if (inherits(metrics, "runwire_metric_block")) {
    blocks <- list(metrics)
  } else if (length(metrics) > 0 && all(vapply(metrics, inherits, NA, "runwire_metric_block"))) {
    blocks <- metrics
  } else if (length(metrics) > 0) {
    if (is.null(names(metrics))) {
      type_error("metrics must be a named vector, a data frame, or a list of blocks")
    }
    points <- list(key = names(metrics), value = metrics, step = NULL, timestamp = NULL)
  }
  # A list can not hold NULL by assignment, and C++ looks for all four.
  list(points = points, blocks = blocks)
}

#' A block of points of several metrics
#'
#' @param keys The metrics' keys, distinct.
#' @param values A numeric matrix with a row for each step and a column for each key.
#' @param steps As many whole numbers as rows.
#' @param timestamps As many times, or one for all; `NULL` for now.
#' @return A block, for [runwire_log_batch()].
#' @examples
#' runwire_metric_block(c("loss", "acc"), matrix(runif(6), 3), steps = 1:3)
#' @export
runwire_metric_block <- function(keys, values, steps, timestamps = NULL) {
  # as.matrix() would take the bits of integer64 for those of doubles.
  columns <- if (is.list(values)) values else list(values)
  if (!is.matrix(values) && any(vapply(columns, inherits, NA, "integer64"))) {
    type_error("a block takes integer64 values in a matrix only: convert them with as.double()")
  }
  # Nor does it keep what times and durations are.
  if (any(vapply(columns, inherits, NA, c("Date", "POSIXct", "difftime", "factor")))) {
    type_error("the values of a block must be numbers")
  }
  values <- as.matrix(values)
  timestamps <- plain_times(timestamps)
  if (!is.numeric(values) || nrow(values) != length(steps) || ncol(values) != length(keys)) {
    value_error(
      "a block of ", length(steps), " steps and ", length(keys), " keys needs a matrix of as many rows and columns"
    )
  }
  if (!is.null(timestamps) && !length(timestamps) %in% c(1L, length(steps))) {
    value_error("a block of ", length(steps), " steps needs as many timestamps, or one, and has ", length(timestamps))
  }
  structure(
    list(keys = check_strings("keys", keys), steps = steps, timestamps = timestamps, values = unname(values)),
    class = "runwire_metric_block"
  )
}

#' @rdname runwire_log_metric
#' @export
runwire_log_param <- function(key, value, run_id = NULL, client = NULL) {
  runwire_log_batch(params = stats::setNames(list(value), check_string("a param's key", key)), run_id = run_id, client = client)
  invisible(value)
}

#' @rdname runwire_log_metric
#' @export
runwire_log_params <- function(params, run_id = NULL, client = NULL) {
  runwire_log_batch(params = params, run_id = run_id, client = client)
}

#' @rdname runwire_log_metric
#' @export
runwire_set_tag <- function(key, value, run_id = NULL, client = NULL) {
  runwire_log_batch(tags = stats::setNames(list(value), check_string("a tag's key", key)), run_id = run_id, client = client)
}

#' @rdname runwire_log_metric
#' @export
runwire_set_tags <- function(tags, run_id = NULL, client = NULL) {
  runwire_log_batch(tags = tags, run_id = run_id, client = client)
}

# Hands over a record that the codec makes.
log_message <- function(run_id, client, ...) {
  client <- logging_client(client)
  checked(log_record(client$pipeline, run_id, record_bytes(...), FALSE))
  invisible(NULL)
}

#' @rdname runwire_log_metric
#' @export
runwire_delete_tag <- function(key, run_id = NULL, client = NULL) {
  if (is.null(run_id)) run_id <- current_run_id(client)
  checked(check_text("run_id", run_id, "run_id"))
  checked(check_text("key", key, "key"))
  log_message(run_id, client, delete_tag = list(run_id = run_id, key = key))
}

dataset_lengths <- list(
  name = c(1, 500), digest = c(1, 64), source_type = c(0, 250), source = c(0, 65535), schema = c(0, 1048575),
  profile = c(0, 1048575), context = c(0, 250)
)

#' @rdname runwire_log_metric
#' @export
runwire_log_inputs <- function(datasets, run_id = NULL, client = NULL) {
  if (inherits(datasets, "runwire_dataset")) datasets <- list(datasets)
  if (!is.list(datasets) || !all(vapply(datasets, inherits, NA, "runwire_dataset"))) {
    type_error("datasets must be made by runwire_dataset()")
  }
  if (is.null(run_id)) run_id <- current_run_id(client)
  checked(check_text("run_id", run_id, "run_id"))
  if (!length(datasets) %in% 1:100) {
    stop(problem_error(list(
      kind = "INVALID_ARGUMENT", message = "inputs: must have 1 to 100 entries", field = "inputs"
    )))
  }
  inputs <- lapply(seq_along(datasets), function(i) {
    one <- datasets[[i]]
    for (name in names(dataset_lengths)) {
      place <- if (name == "context") "context" else paste0("dataset.", name)
      limits <- dataset_lengths[[name]]
      checked(check_length(one[[name]], limits[1], limits[2], sprintf("inputs[%d].%s", i - 1L, place)))
    }
    list(dataset = unclass(one)[setdiff(names(dataset_lengths), "context")], context = one$context)
  })
  log_message(run_id, client, inputs = list(run_id = run_id, inputs = inputs))
}

#' @rdname runwire_log_metric
#' @export
runwire_log_input <- function(dataset, context = NULL, run_id = NULL, client = NULL) {
  if (!is.null(context) && inherits(dataset, "runwire_dataset")) dataset$context <- context
  runwire_log_inputs(list(dataset), run_id, client)
}
