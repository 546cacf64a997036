#' Runs
#'
#' A run is one execution of some code, with its params, metrics, tags and input data sets. These functions name the run
#' that they deal with; [runwire_start_run()] and [runwire_with_run()] make one the current run.
#'
#' `runwire_create_run` waits for the server. `runwire_begin_run` does not, as [runwire_log_metric()] does not, and works
#' offline too: what can not be (the experiment is deleted, the id was purged ...) is raised by the next
#' [runwire_flush()]. Heartbeats are sent for a run that was begun until it is finished or the client closed; a run that had
#' heartbeats and has none for two minutes is LOST.
#'
#' @param experiment_id The experiment; it must be active. For `runwire_begin_run` its id, or
#' @param experiment_name its name; it is created if there is none.
#' @param start_time,end_time A `POSIXct`, `POSIXlt` or `Date`, or unix milliseconds; `NULL` for now.
#' @param tags,params A named vector or list of single values, or a data frame with the columns `key` and `value`.
#' @param run_name The run's name; `NULL` for a readable one that is made up.
#' @param parent_run_id A run of the same experiment that this one is a part of.
#' @param run_id The run, 32 lower-case hex digits; `NULL` for a new id. Creating a run with the same id and arguments
#'   again returns the run, whenever that is.
#' @param allow_existing Return the run if `run_id` exists, whatever it was created with, so that the processes of one
#'   job can all create the run that they share.
#' @param status `"RUNNING"`, `"SCHEDULED"`; to end a run `"FINISHED"`, `"FAILED"` or `"KILLED"`. `NULL` leaves it as it
#'   is, and finishes a run as `"FINISHED"`.
#' @param name The new name; `NULL` to keep it.
#' @param fields Which fields of `Run` in `runwire/v1/run.proto` to return, such as `c("name", "params")`; `NULL` for all.
#' @param metric_keys,param_keys,tag_keys Only these metrics, params, tags.
#' @param client A client; `NULL` for that of the session.
#' @param timeout Seconds that the call may take, or a `difftime`; `NULL` for the client's.
#' @return `runwire_create_run`, `runwire_get_run`, `runwire_update_run` and `runwire_finish_run` return an object of class
#'   `runwire_run`: a list with `run_id`, `experiment_id`, `run_name`, `status`, `start_time`, `end_time`, `lifecycle_stage`,
#'   `parent_run_id` (`NA` if there is none), `params`, `tags` and `metrics` (named vectors; the latest value of each
#'   metric), `metric_summaries` (a data frame) and `inputs` (a list of data sets). What was not asked for is empty.
#'   `runwire_begin_run` returns the run's id. The others return `NULL`, invisibly.
#' @examples
#' folder <- tempfile()
#' client <- runwire_connect(mode = "offline", spool_dir = folder)
#' run_id <- runwire_begin_run(experiment_name = "cars", params = list(wt = 2.5), client = client)
#' runwire_log_metric("loss", 0.5, run_id = run_id, client = client)
#' runwire_finish_run(run_id, client = client)
#' runwire_close(client)
#' unlink(folder, recursive = TRUE)
#' @name runwire_runs
NULL

#' @rdname runwire_runs
#' @export
runwire_create_run <- function(experiment_id, start_time = NULL, tags = NULL, run_name = NULL, params = NULL,
                               parent_run_id = NULL, run_id = NULL, allow_existing = FALSE, status = "RUNNING",
                               client = NULL, timeout = NULL) {
  client <- given_client(client)
  given <- as_pairs("param", params)
  named <- as_pairs("tag", tags)
  request <- list(
    experiment_id = as_id(experiment_id), run_id = run_id %||% mint_id(), name = run_name,
    start_time = as_time(start_time %||% Sys.time(), "start_time"), parent_run_id = parent_run_id,
    status = status_value(status), params = pairs_to(given), tags = pairs_to(named)
  )
  answer <- send(
    client, "RunService", "CreateRun", c(request, allow_existing = allow_existing, request_id = request_id()), timeout
  )
  remember_begin(client, request, NULL)
  new_run(answer$run)
}

most_begin_bytes <- 64 * 1024

# Keeps how a run begins, without its params and tags where they are many: returns whether these were left out.
remember_begin <- function(client, request, experiment_name) {
  begin <- function(run) record_bytes(begin = list(run = run, experiment_name = experiment_name))
  bytes <- begin(request)
  large <- length(bytes) > most_begin_bytes
  if (large) bytes <- begin(request[setdiff(names(request), c("params", "tags"))])
  checked(log_begin(client$pipeline, request$run_id, request$parent_run_id %||% "", bytes))
  client$experiments[[request$run_id]] <- list(id = request$experiment_id, name = experiment_name)
  large
}

#' @rdname runwire_runs
#' @export
runwire_begin_run <- function(experiment_id = NULL, experiment_name = NULL, run_id = NULL, run_name = NULL,
                              start_time = NULL, parent_run_id = NULL, params = NULL, tags = NULL, client = NULL) {
  client <- given_client(client)
  begin_run(client, experiment_id, experiment_name, run_id, run_name, start_time, parent_run_id, params, tags)$run_id
}

# Begins a run, and returns what begins it.
begin_run <- function(client, experiment_id, experiment_name, run_id, run_name, start_time, parent_run_id, params, tags) {
  if (is.null(experiment_id) == is.null(experiment_name)) {
    value_error("a run begins in an experiment: give either its id or its name")
  }
  given <- as_pairs("param", params)
  named <- as_pairs("tag", tags)
  checked(check_pairs(given, "params", TRUE))
  checked(check_pairs(named, "tags", FALSE))
  # The server makes a name up where it is empty.
  name <- if (identical(run_name %||% "", "")) readable_name() else run_name
  checked(check_text("name", name, "name"))
  if (is.null(experiment_id)) {
    checked(check_text("name", experiment_name, "experiment_name"))
  } else {
    experiment_id <- as_id(experiment_id)
    checked(check_text("experiment_id", experiment_id, "experiment_id"))
  }
  for (id in c(run_id, parent_run_id)) checked(check_text("run_id", id, "run_id"))
  request <- list(
    experiment_id = experiment_id, run_id = run_id %||% mint_id(), name = name,
    start_time = as_time(start_time %||% Sys.time(), "start_time"), parent_run_id = parent_run_id,
    params = pairs_to(given), tags = pairs_to(named)
  )
  large <- remember_begin(client, request, experiment_name)
  # An empty record names the run, which has its begin record written.
  checked(log_record(client$pipeline, request$run_id, raw(), FALSE))
  if (large) checked(log_batch(client$pipeline, request$run_id, NULL, list(), given, named))
  checked(pipeline_keep_alive(client$pipeline, request$run_id))
  c(request, list(all_params = given, all_tags = named))
}

adjectives <- strsplit(paste(
  "amber brave bright calm clever crisp curious dapper eager fleet gentle golden grand happy honest humble",
  "keen kind lively loyal lucid mellow merry mighty nimble noble patient placid polite proud quick quiet"
), " ")[[1]]
nouns <- strsplit(paste(
  "badger beaver bison condor crane dolphin eagle egret falcon ferret finch fox gecko gull hare hawk heron",
  "ibex jay kestrel koala lark lemur lynx marten mink moose newt ocelot orca osprey otter owl panda pike"
), " ")[[1]]

# A name such as brave-otter-417, as the server makes one up; of an id, so that R's own generator is left as it is.
readable_name <- function() {
  digits <- strtoi(substring(mint_id(), c(23, 26, 29), c(25, 28, 32)), 16L)
  paste(
    adjectives[digits[1] %% length(adjectives) + 1], nouns[digits[2] %% length(nouns) + 1], digits[3] %% 1000,
    sep = "-"
  )
}

run_mask <- function(fields, metric_keys, param_keys, tag_keys) {
  if (is.null(fields) && is.null(metric_keys) && is.null(param_keys) && is.null(tag_keys)) {
    return(NULL)
  }
  list(
    fields = if (length(fields) > 0) check_strings("fields", fields),
    metric_keys = check_strings("metric_keys", metric_keys), param_keys = check_strings("param_keys", param_keys),
    tag_keys = check_strings("tag_keys", tag_keys)
  )
}

#' @rdname runwire_runs
#' @export
runwire_get_run <- function(run_id, fields = NULL, metric_keys = NULL, param_keys = NULL, tag_keys = NULL, client = NULL,
                            timeout = NULL) {
  request <- list(run_id = as_run_id(run_id), mask = run_mask(fields, metric_keys, param_keys, tag_keys))
  new_run(send(given_client(client), "RunService", "GetRun", request, timeout)$run)
}

#' @rdname runwire_runs
#' @export
runwire_update_run <- function(run_id, status = NULL, name = NULL, client = NULL, timeout = NULL) {
  request <- list(
    run_id = as_run_id(run_id), name = name, status = if (!is.null(status)) status_value(status),
    update_mask = c(if (!is.null(name)) "name", if (!is.null(status)) "status"), request_id = request_id()
  )
  new_run(send(given_client(client), "RunService", "UpdateRun", request, timeout)$run)
}

run_info_fields <- c(
  "experiment_id", "name", "status", "start_time", "end_time", "lifecycle_stage", "parent_run_id"
)

# Logs the end of a run, without waiting for it.
log_finish <- function(client, run_id, status, end_time) {
  value <- status_value(final_status(status))
  checked(check_text("run_id", run_id, "run_id"))
  at <- as_time(end_time %||% Sys.time(), "end_time")
  bytes <- record_bytes(finish = list(run_id = run_id, status = value, end_time = at))
  checked(log_record(client$pipeline, run_id, bytes, TRUE))
}

#' @rdname runwire_runs
#' @export
runwire_finish_run <- function(run_id, status = NULL, end_time = NULL, client = NULL, timeout = NULL) {
  client <- given_client(client)
  run_id <- as_run_id(run_id)
  left <- time_left(call_time(client, timeout))
  log_finish(client, run_id, status, end_time)
  runwire_flush(left(), client)
  if (client$mode == "offline") {
    return(unasked_run(run_id, status %||% "FINISHED"))
  }
  runwire_get_run(run_id, fields = run_info_fields, client = client, timeout = left())
}

#' @rdname runwire_runs
#' @export
runwire_delete_run <- function(run_id, client = NULL, timeout = NULL) change_run("DeleteRun", run_id, client, timeout)

#' @rdname runwire_runs
#' @export
runwire_restore_run <- function(run_id, client = NULL, timeout = NULL) change_run("RestoreRun", run_id, client, timeout)

change_run <- function(method, run_id, client, timeout) {
  request <- list(run_id = as_run_id(run_id), request_id = request_id())
  send(given_client(client), "RunService", method, request, timeout)
  invisible(NULL)
}

#' @rdname runwire_runs
#' @export
runwire_keep_alive <- function(run_id, client = NULL) {
  client <- given_client(client)
  checked(pipeline_keep_alive(client$pipeline, as_run_id(run_id)))
  invisible(NULL)
}

#' Say that runs are alive
#'
#' For runs that were begun or started here this goes by itself.
#'
#' @param run_ids 1 to 1,000 run ids.
#' @inheritParams runwire_runs
#' @return A character vector: those of the runs that are alive now, and not those that have ended, are deleted or
#'   unknown.
#' @examples
#' \dontrun{
#' runwire_heartbeat("0198c5a4d7b27d0a8f3b1c2d3e4f5a6b")
#' }
#' @export
runwire_heartbeat <- function(run_ids, client = NULL, timeout = NULL) {
  request <- list(run_ids = check_strings("run_ids", run_ids))
  send(given_client(client), "MetricService", "Heartbeat", request, timeout)$run_ids
}

# A run id, or a run.
as_run_id <- function(run) {
  if (inherits(run, "runwire_run")) {
    return(run$run_id)
  }
  check_string("a run id", run)
}

#' Search runs
#'
#' `runwire_search_runs` returns all runs that match as a data frame. `runwire_search_runs_page` returns one page of them, as
#' run objects.
#'
#' @param experiment_ids 1 to 100 experiments; `NULL` for that of the session, else of the client.
#' @param filter Such as `"metrics.loss < 0.1 AND params.model = 'x'"`; empty matches all. See `SearchRuns` in
#'   `runwire/v1/run.proto`, or [rpc_search_runs()], for all it can say.
#' @param order_by Such as `"metrics.loss ASC"`, or up to 10 of these; by default the newest come first.
#' @param view Which lifecycle stages to look at: `"active"`, `"deleted"` or `"all"`.
#' @param max_results Most runs.
#' @param page_size Most runs of a page, at most 1,000.
#' @param page_token `next_page_token` of the page before; `NULL` for the first.
#' @param experiment_names The experiments by name, instead of ids; names that do not exist are left out.
#' @inheritParams runwire_runs
#' @return A data frame of class `runwire_runs` with a row for each run and the columns `run_id`, `run_name`,
#'   `experiment_id`, `status`, `start_time`, `end_time`, `metrics.KEY` (the latest value), `params.KEY` and `tags.KEY`, `NA`
#'   where a run has no such key. Of a page a list with `items`, a list of [runs][runwire_runs], and
#'   `next_page_token`, `NULL` on the last.
#' @examples
#' \dontrun{
#' runwire_search_runs(filter = "metrics.r_squared > 0.5", order_by = "metrics.r_squared DESC")
#' }
#' @export
runwire_search_runs <- function(experiment_ids = NULL, filter = "", order_by = NULL, view = c("active", "deleted", "all"),
                                max_results = 100000, fields = NULL, metric_keys = NULL, param_keys = NULL,
                                tag_keys = NULL, experiment_names = NULL, client = NULL, timeout = NULL) {
  client <- given_client(client)
  ids <- search_experiment_ids(experiment_ids, experiment_names, client)
  found <- gather_pages(function(size, token) {
    # Where none of the names exists there is nobody to ask.
    if (length(ids) == 0) {
      return(list())
    }
    runwire_search_runs_page(
      ids, filter, order_by, view, size, token, fields, metric_keys, param_keys, tag_keys, client, timeout
    )
  }, max_results)
  runs_frame(found)
}

search_experiment_ids <- function(ids, names, client) {
  if (!is.null(ids) && !is.null(names)) {
    value_error("runwire_search_runs takes either experiment_ids or experiment_names")
  }
  if (!is.null(names)) {
    found <- lapply(check_strings("experiment_names", names), runwire_get_experiment_by_name, client = client)
    return(unlist(lapply(found, function(one) one$experiment_id)))
  }
  if (is.null(ids)) home_experiment(client) else vapply(as.list(ids), as_id, "")
}

#' @rdname runwire_search_runs
#' @export
runwire_search_runs_page <- function(experiment_ids, filter = "", order_by = NULL, view = c("active", "deleted", "all"),
                                     page_size = 1000, page_token = NULL, fields = NULL, metric_keys = NULL,
                                     param_keys = NULL, tag_keys = NULL, client = NULL, timeout = NULL) {
  request <- list(
    experiment_ids = vapply(as.list(experiment_ids), as_id, ""), filter = check_string("filter", filter),
    order_by = check_strings("order_by", order_by), view = view_value(view), page_size = page_size,
    page_token = page_token, mask = run_mask(fields, metric_keys, param_keys, tag_keys)
  )
  answer <- send(given_client(client), "RunService", "SearchRuns", request, timeout)
  list(items = lapply(answer$runs, new_run), next_page_token = empty_to_null(answer$next_page_token))
}

runs_frame <- function(found) {
  text <- function(name) vapply(found, function(one) one[[name]], "")
  frame <- data.frame(
    run_id = text("run_id"), run_name = text("run_name"), experiment_id = text("experiment_id"),
    status = text("status"), start_time = times_of(found, "start_time"), end_time = times_of(found, "end_time"),
    stringsAsFactors = FALSE
  )
  frame <- add_columns(frame, found, "metrics", NA_real_)
  frame <- add_columns(frame, found, "params", NA_character_)
  frame <- add_columns(frame, found, "tags", NA_character_)
  class(frame) <- c("runwire_runs", class(frame))
  frame
}

#' @rdname runwire_search_runs
#' @param x A result.
#' @param ... Passed on to the method for data frames.
#' @export
format.runwire_runs <- function(x, ...) paste0("<", counted(nrow(x), "run"), ">")

#' @rdname runwire_search_runs
#' @export
print.runwire_runs <- function(x, ...) {
  cat(format(x), "\n", sep = "")
  # Tags that tools set are rarely what a person looks for.
  shown <- x[, !startsWith(names(x), "tags.mlflow."), drop = FALSE]
  if ("run_id" %in% names(shown)) shown$run_id <- abbreviated(shown$run_id)
  class(shown) <- setdiff(class(shown), "runwire_runs")
  if (nrow(x) > 0) print(shown, ...)
  invisible(x)
}

#' @rdname runwire_search_runs
#' @param object A result; its summary has a row for each metric: how many of the runs have it, and its least, mean and
#'   greatest value in them.
#' @export
summary.runwire_runs <- function(object, ...) {
  columns <- grep("^metrics[.]", names(object), value = TRUE)
  # NaN is a value; NA says that a run has none.
  has <- function(values) is.nan(values) | !is.na(values)
  of <- function(how) vapply(columns, function(one) how(object[[one]][has(object[[one]])]), 0, USE.NAMES = FALSE)
  data.frame(
    metric = sub("^metrics[.]", "", columns), runs = of(length), min = of(function(x) extreme(x, min)),
    mean = of(function(x) extreme(x, mean)), max = of(function(x) extreme(x, max)), stringsAsFactors = FALSE
  )
}

abbreviated <- function(id) ifelse(nchar(id) > 12, paste0(substring(id, 1, 8), "..", substring(id, 29)), id)

#' Methods for runs
#'
#' @param x,object A run.
#' @param row.names,optional As for [as.data.frame()].
#' @param ... Not used.
#' @return `format` returns one line; `summary` the data frame of the run's metrics, with their counts, least and greatest
#'   values; `as.data.frame` a data frame of one row, as [runwire_search_runs()] has it. `print` returns the run.
#' @name runwire_run_methods
NULL

#' @rdname runwire_run_methods
#' @export
format.runwire_run <- function(x, ...) {
  name <- if (nzchar(x$run_name)) paste0(" ", x$run_name)
  deleted <- if (x$lifecycle_stage == "deleted") ", deleted"
  status <- if (nzchar(x$status)) paste0(": ", x$status)
  paste0("<runwire run ", x$run_id, name, status, deleted, ">")
}

#' @rdname runwire_run_methods
#' @export
print.runwire_run <- function(x, ...) {
  cat(format(x), "\n", sep = "")
  if (length(x$params) > 0) cat("params:  ", pairs_line(x$params), "\n", sep = "")
  if (length(x$metrics) > 0) {
    cat("metrics: ", pairs_line(vapply(x$metrics, format, "", digits = 6)), "\n", sep = "")
  }
  tags <- x$tags[!startsWith(names(x$tags), "mlflow.")]
  if (length(tags) > 0) cat("tags:    ", pairs_line(tags), "\n", sep = "")
  invisible(x)
}

#' @rdname runwire_run_methods
#' @export
summary.runwire_run <- function(object, ...) object$metric_summaries

#' @rdname runwire_run_methods
#' @export
as.data.frame.runwire_run <- function(x, row.names = NULL, optional = FALSE, ...) {
  frame <- runs_frame(list(x))
  class(frame) <- "data.frame"
  frame
}
