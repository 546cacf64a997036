#' Experiments
#'
#' Experiments are the named groups that runs belong to. Every server has the experiment `"0"`, named Default.
#'
#' @param name The experiment's name, 1 to 500 characters; names are compared byte by byte.
#' @param tags A named vector or list of single values, or a data frame with the columns `key` and `value`.
#' @param experiment_id The experiment's id, a string of digits.
#' @param key,value A tag; the value is sent as text.
#' @param filter Such as `"name LIKE 'wine%'"`; empty matches all.
#' @param order_by Such as `"name ASC"`, or several of these; by default the newest come first.
#' @param view Which lifecycle stages to look at: `"active"`, `"deleted"` or `"all"`.
#' @param max_results Most experiments.
#' @param page_size Most experiments of a page, at most 1,000.
#' @param page_token `next_page_token` of the page before; `NULL` for the first.
#' @param client A client; `NULL` for that of the session.
#' @param timeout Seconds that the call may take, or a `difftime`; `NULL` for the client's.
#' @return `runwire_create_experiment` returns the new id. `runwire_get_experiment` and
#'   `runwire_get_experiment_by_name` return an object of class `runwire_experiment`, the latter `NULL` if there is none
#'   of the name. `runwire_search_experiments` returns a data frame of class `runwire_experiments` with a row for each experiment and the columns
#'   `experiment_id`, `name`, `lifecycle_stage`, `create_time`, `update_time` and `tags.KEY`;
#'   `runwire_search_experiments_page` a list with `items`, a list of experiments, and `next_page_token`. The others
#'   return `NULL`, invisibly.
#' @examples
#' \dontrun{
#' id <- runwire_create_experiment("wine", tags = c(team = "red"))
#' runwire_get_experiment(id)
#' runwire_search_experiments("name LIKE 'wi%'")
#' }
#' @name runwire_experiments
NULL

#' @rdname runwire_experiments
#' @export
runwire_create_experiment <- function(name, tags = NULL, client = NULL, timeout = NULL) {
  request <- list(name = check_string("name", name), tags = pairs_to(as_pairs("tag", tags)), request_id = request_id())
  answer <- send(given_client(client), "ExperimentService", "CreateExperiment", request, timeout)
  answer$experiment$experiment_id
}

#' @rdname runwire_experiments
#' @export
runwire_get_experiment <- function(experiment_id, client = NULL, timeout = NULL) {
  request <- list(experiment_id = as_id(experiment_id))
  new_experiment(send(given_client(client), "ExperimentService", "GetExperiment", request, timeout)$experiment)
}

#' @rdname runwire_experiments
#' @export
runwire_get_experiment_by_name <- function(name, client = NULL, timeout = NULL) {
  request <- list(name = check_string("name", name))
  tryCatch(
    new_experiment(send(given_client(client), "ExperimentService", "GetExperiment", request, timeout)$experiment),
    runwire_not_found = function(e) NULL
  )
}

#' @rdname runwire_experiments
#' @export
runwire_search_experiments_page <- function(filter = "", order_by = NULL, view = c("active", "deleted", "all"),
                                            page_size = 1000, page_token = NULL, client = NULL, timeout = NULL) {
  request <- list(
    filter = check_string("filter", filter), order_by = check_strings("order_by", order_by), view = view_value(view),
    page_size = page_size, page_token = page_token
  )
  answer <- send(given_client(client), "ExperimentService", "SearchExperiments", request, timeout)
  list(items = lapply(answer$experiments, new_experiment), next_page_token = empty_to_null(answer$next_page_token))
}

#' @rdname runwire_experiments
#' @export
runwire_search_experiments <- function(filter = "", order_by = NULL, view = c("active", "deleted", "all"),
                                       max_results = Inf, client = NULL, timeout = NULL) {
  found <- gather_pages(function(size, token) {
    runwire_search_experiments_page(filter, order_by, view, size, token, client, timeout)
  }, max_results)
  frame <- experiments_frame(found)
  class(frame) <- c("runwire_experiments", class(frame))
  frame
}

#' @rdname runwire_experiments
#' @export
runwire_rename_experiment <- function(experiment_id, name, client = NULL, timeout = NULL) {
  change_experiment(
    "UpdateExperiment", client, timeout, experiment_id,
    name = check_string("name", name), update_mask = "name"
  )
}

#' @rdname runwire_experiments
#' @export
runwire_delete_experiment <- function(experiment_id, client = NULL, timeout = NULL) {
  change_experiment("DeleteExperiment", client, timeout, experiment_id)
}

#' @rdname runwire_experiments
#' @export
runwire_restore_experiment <- function(experiment_id, client = NULL, timeout = NULL) {
  change_experiment("RestoreExperiment", client, timeout, experiment_id)
}

#' @rdname runwire_experiments
#' @export
runwire_set_experiment_tag <- function(key, value, experiment_id = NULL, client = NULL, timeout = NULL) {
  tags <- stats::setNames(list(value), check_string("key", key))
  runwire_set_experiment_tags(tags, experiment_id, client, timeout)
}

#' @rdname runwire_experiments
#' @export
runwire_set_experiment_tags <- function(tags, experiment_id = NULL, client = NULL, timeout = NULL) {
  client <- given_client(client)
  change_experiment(
    "SetExperimentTags", client, timeout, experiment_id %||% home_experiment(client),
    tags = pairs_to(as_pairs("tag", tags))
  )
}

#' @rdname runwire_experiments
#' @export
runwire_delete_experiment_tag <- function(key, experiment_id = NULL, client = NULL, timeout = NULL) {
  client <- given_client(client)
  change_experiment(
    "DeleteExperimentTag", client, timeout, experiment_id %||% home_experiment(client),
    key = check_string("key", key)
  )
}

change_experiment <- function(method, client, timeout, experiment_id, ...) {
  request <- list(experiment_id = as_id(experiment_id), ..., request_id = request_id())
  send(given_client(client), "ExperimentService", method, request, timeout)
  invisible(NULL)
}

# Experiment ids are strings of digits; a whole number says the same.
as_id <- function(experiment_id) {
  if (is.numeric(experiment_id) && length(experiment_id) == 1 && isTRUE(experiment_id == trunc(experiment_id))) {
    return(format(experiment_id, scientific = FALSE))
  }
  check_string("experiment_id", experiment_id)
}

# A UUID of version 7 with its dashes.
request_id <- function() {
  id <- mint_id()
  paste(substring(id, c(1, 9, 13, 17, 21), c(8, 12, 16, 20, 32)), collapse = "-")
}

experiments_frame <- function(found) {
  frame <- data.frame(
    experiment_id = vapply(found, function(one) one$experiment_id, ""),
    name = vapply(found, function(one) one$name, ""),
    lifecycle_stage = vapply(found, function(one) one$lifecycle_stage, ""),
    create_time = times_of(found, "create_time"), update_time = times_of(found, "update_time"),
    stringsAsFactors = FALSE
  )
  add_columns(frame, found, "tags", NA_character_)
}

times_of <- function(found, name) {
  seconds <- vapply(found, function(one) as.numeric(one[[name]]), 0)
  as.POSIXct(seconds, origin = "1970-01-01", tz = "UTC")
}

# A column for each key that any of the elements has.
add_columns <- function(frame, found, part, missing) {
  held <- lapply(found, function(one) one[[part]])
  for (key in sort(unique(unlist(lapply(held, names))))) {
    frame[[paste0(part, ".", key)]] <- vapply(held, function(one) {
      if (key %in% names(one)) one[[key]] else missing
    }, missing)
  }
  frame
}

#' @rdname runwire_experiments
#' @export
format.runwire_experiments <- function(x, ...) paste0("<", counted(nrow(x), "experiment"), ">")

#' @rdname runwire_experiments
#' @export
print.runwire_experiments <- function(x, ...) {
  cat(format(x), "\n", sep = "")
  if (nrow(x) > 0) print(as.data.frame(x), ...)
  invisible(x)
}

#' @rdname runwire_experiments
#' @param x,object An experiment, or a result of a search. An experiment's summary is a data frame of its tags.
#' @param ... Not used, or passed on to the method for data frames.
#' @export
format.runwire_experiment <- function(x, ...) {
  deleted <- if (x$lifecycle_stage == "deleted") ", deleted"
  paste0("<runwire experiment ", x$experiment_id, ": ", x$name, deleted, ">")
}

#' @rdname runwire_experiments
#' @export
print.runwire_experiment <- function(x, ...) {
  cat(format(x), "\n", sep = "")
  if (length(x$tags) > 0) cat("tags: ", pairs_line(x$tags), "\n", sep = "")
  invisible(x)
}

#' @rdname runwire_experiments
#' @export
as.data.frame.runwire_experiment <- function(x, ...) experiments_frame(list(x))

#' @rdname runwire_experiments
#' @export
summary.runwire_experiment <- function(object, ...) {
  data.frame(key = as.character(names(object$tags)), value = unname(object$tags), stringsAsFactors = FALSE)
}

pairs_line <- function(pairs) paste0(names(pairs), " = ", pairs, collapse = ", ")
