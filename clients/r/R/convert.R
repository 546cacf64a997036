# From the API's messages to what users see.

lower_stage <- function(stage) {
  switch(stage, LIFECYCLE_STAGE_ACTIVE = "active", LIFECYCLE_STAGE_DELETED = "deleted", "")
}

# Of a run whose status was not asked for it is "", as its other fields are.
status_name <- function(status) {
  name <- sub("^RUN_STATUS_", "", status)
  if (name == "UNSPECIFIED") "" else name
}

statuses <- c("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")

status_value <- function(status) {
  if (!is.character(status) || length(status) != 1 || !status %in% statuses) {
    value_error("a status is one of ", paste(statuses, collapse = ", "), ", and not ", format(status))
  }
  paste0("RUN_STATUS_", status)
}

# How a run ends; NULL is FINISHED.
final_status <- function(status) {
  ended <- status %||% "FINISHED"
  if (identical(ended, "RUNNING") || identical(ended, "SCHEDULED")) {
    stop(problem_error(list(
      kind = "INVALID_ARGUMENT", message = "status: must be FINISHED, FAILED or KILLED", field = "status"
    )))
  }
  if (!is.character(ended) || length(ended) != 1 || !ended %in% c("FINISHED", "FAILED", "KILLED")) {
    value_error("a run ends as FINISHED, FAILED or KILLED, and not as ", toString(format(ended)))
  }
  ended
}

views <- c(active = "LIFECYCLE_VIEW_ACTIVE_ONLY", deleted = "LIFECYCLE_VIEW_DELETED_ONLY", all = "LIFECYCLE_VIEW_ALL")

view_value <- function(view) {
  if (length(view) == 3) view <- view[1]
  if (!is.character(view) || length(view) != 1 || !view %in% names(views)) {
    value_error("view must be \"active\", \"deleted\" or \"all\", and is ", format(view))
  }
  views[[view]]
}

no_time <- function() as.POSIXct(NA_real_, origin = "1970-01-01", tz = "UTC")

# Times as C++ reads them; a POSIXlt is a list of their parts.
plain_times <- function(times) if (inherits(times, "POSIXlt")) as.POSIXct(times) else times

# bit64's integers as texts: without bit64 R takes their bits for those of doubles.
plain_integers <- function(values) if (inherits(values, "integer64")) integer64_texts(values) else values

# A time of a run, as a time of R.
as_time <- function(value, what) {
  ms <- checked(check_time(plain_times(value), what))
  as.POSIXct(ms / 1000, origin = "1970-01-01", tz = "UTC")
}

empty_to_null <- function(x) if (is.null(x) || !nzchar(x)) NULL else x

# Keys with texts from messages with key and value.
pairs_from <- function(messages) {
  stats::setNames(
    vapply(messages, function(one) one$value, ""), vapply(messages, function(one) one$key, "")
  )
}

# Messages with key and value from keys with texts.
pairs_to <- function(pairs) {
  keys <- names(pairs)
  lapply(seq_along(pairs), function(i) list(key = keys[i], value = pairs[[i]]))
}

# Params or tags as a user gives them, as a named character vector: a named vector or list of single values, or a data
# frame of keys and values.
as_pairs <- function(what, given) {
  if (is.data.frame(given)) {
    if (!setequal(names(given), c("key", "value"))) {
      type_error("a data frame of ", what, "s has the columns key and value, and no other")
    }
    given <- stats::setNames(as.list(plain_integers(given$value)), as.character(given$key))
  }
  given <- plain_integers(given)
  if (is.null(given) || length(given) == 0) {
    return(stats::setNames(character(), character()))
  }
  keys <- names(given)
  if (!(is.list(given) || is.atomic(given)) || is.null(keys) || anyNA(keys)) {
    type_error(what, "s must be a named vector or list, or a data frame with the columns key and value")
  }
  values <- vapply(seq_along(given), function(i) as_text(given[[i]], paste(what, keys[i])), "")
  stats::setNames(values, keys)
}

# A single value as text: numbers with all their digits, so that they read back as the same.
as_text <- function(value, what) {
  value <- if (is.factor(value)) as.character(value) else plain_integers(value)
  if (is.null(value) || length(value) != 1 || !is.atomic(value)) {
    type_error(what, ": the value must be one value, not ", if (is.null(value)) "NULL" else "several or none")
  }
  if (is.na(value) && !is.nan(value)) {
    return("NA")
  }
  # One with a name, as of coef(), is the same number.
  if (is.double(value) && !is.object(value)) {
    return(exact_text(as.double(value)))
  }
  as.character(value)
}

exact_text <- function(value) {
  if (is.finite(value) && value == trunc(value) && abs(value) < 1e15) {
    return(format(value, scientific = FALSE, trim = TRUE))
  }
  for (digits in 15:17) {
    found <- formatC(value, digits = digits, width = 1, format = "g", decimal.mark = ".")
    if (!is.finite(value) || as.numeric(found) == value) {
      return(found)
    }
  }
  found
}

new_experiment <- function(message) {
  structure(
    list(
      experiment_id = message$experiment_id, name = message$name,
      lifecycle_stage = lower_stage(message$lifecycle_stage), create_time = message$create_time %||% no_time(),
      update_time = message$update_time %||% no_time(), tags = pairs_from(message$tags)
    ),
    class = "runwire_experiment"
  )
}

# Puts numbers together that may be doubles or, beyond 2^53, strings.
bind_numbers <- function(parts) {
  if (length(parts) == 0) {
    return(numeric())
  }
  if (all(vapply(parts, is.numeric, NA))) {
    return(unlist(parts, use.names = FALSE))
  }
  unlist(lapply(parts, exact_integers), use.names = FALSE)
}

exact_integers <- function(x) {
  if (is.character(x)) {
    return(x)
  }
  ifelse(is.na(x), NA_character_, format(x, scientific = FALSE, trim = TRUE, digits = 17))
}

summary_columns <- c(
  value = "value", step = "step", timestamp = "timestamp_ms", count = "count", nan_count = "nan_count",
  min = "min_value", min_step = "min_step", max = "max_value", max_step = "max_step", first = "first_value",
  first_step = "first_step", first_timestamp = "first_timestamp_ms"
)

new_summaries <- function(messages) {
  columns <- lapply(summary_columns, function(field) {
    bind_numbers(lapply(messages, function(one) one[[field]] %||% NA_real_))
  })
  key <- vapply(messages, function(one) one$key, "")
  as.data.frame(c(list(key = key), columns), stringsAsFactors = FALSE)
}

new_run <- function(message) {
  summaries <- new_summaries(message$metrics)
  structure(
    list(
      run_id = message$run_id, experiment_id = message$experiment_id, run_name = message$name,
      status = status_name(message$status), start_time = message$start_time %||% no_time(),
      end_time = message$end_time %||% no_time(), lifecycle_stage = lower_stage(message$lifecycle_stage),
      parent_run_id = empty_to_null(message$parent_run_id) %||% NA_character_, params = pairs_from(message$params),
      tags = pairs_from(message$tags), metrics = stats::setNames(summaries$value, summaries$key),
      metric_summaries = summaries, inputs = lapply(message$inputs, new_input)
    ),
    class = "runwire_run"
  )
}

# A run of which no server was asked.
unasked_run <- function(run_id, status, experiment_id = "", name = "", start_time = NULL, parent = NULL,
                        params = character(), tags = character()) {
  new_run(list(
    run_id = run_id, experiment_id = experiment_id, name = name, status = status, start_time = start_time,
    lifecycle_stage = "LIFECYCLE_STAGE_ACTIVE", parent_run_id = parent, params = pairs_to(params),
    tags = pairs_to(tags), metrics = list(), inputs = list()
  ))
}

# The record of the API, as bytes.
record_bytes <- function(...) checked(message_to_raw(the$schema, "Record", list(...)))

# A list of pages put together: `page` gets the page of a size and token, a list with `items` and `next_page_token`.
gather_pages <- function(page, limit, size = 1000) {
  check_limit("max_results", limit)
  found <- list()
  token <- NULL
  while (length(found) < limit) {
    part <- page(min(size, limit - length(found)), token)
    found <- c(found, part$items)
    token <- part$next_page_token
    if (is.null(token)) break
  }
  found
}

check_limit <- function(what, given) {
  if (!is.numeric(given) || is.object(given) || length(given) != 1 || is.na(given)) {
    type_error(what, " must be one number")
  }
  if (given < 0 || (is.finite(given) && given != trunc(given))) {
    value_error(what, " must be a whole number, 0 or more, or Inf, and is ", format(given))
  }
}

check_strings <- function(what, values) {
  if (!is.null(values) && (!is.character(values) || anyNA(values))) {
    type_error(what, " must be a character vector without NA")
  }
  values
}

# A vector of R that must stay one in a message, also with one element.
check_string <- function(what, value) {
  if (!is.character(value) || length(value) != 1 || is.na(value)) {
    type_error(what, " must be one string")
  }
  value
}

check_flag <- function(what, value) {
  if (!isTRUE(value) && !isFALSE(value)) type_error(what, " must be TRUE or FALSE")
  value
}
