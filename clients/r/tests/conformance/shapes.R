# How values travel between the driver and its runner: see tests/conformance/README.md.

# Doubles travel as their bits.
to_double <- function(hex) {
  hex <- unlist(hex)
  if (length(hex) == 0) {
    return(numeric())
  }
  digits <- strsplit(paste(hex, collapse = ""), "")[[1]]
  bytes <- as.raw(strtoi(paste0(digits[c(TRUE, FALSE)], digits[c(FALSE, TRUE)]), 16L))
  readBin(bytes, "double", length(hex), endian = "big")
}

bits <- function(x) {
  if (length(x) == 0) {
    return(character())
  }
  bytes <- matrix(as.character(writeBin(as.double(x), raw(), endian = "big")), nrow = 8)
  apply(bytes, 2, paste, collapse = "")
}

bits_or_null <- function(x) if (is.na(x) && !is.nan(x)) NULL else bits(x)

# Large integers travel as text; this client takes them as doubles up to 2^53, and as text beyond.
to_integer <- function(text) {
  text <- as.character(unlist(text))
  digits <- sub("^-", "", text)
  if (all(nchar(digits) < 16 | (nchar(digits) == 16 & digits <= "9007199254740992"))) as.numeric(text) else text
}

maybe_integer <- function(text) if (is.null(text)) NULL else to_integer(text)

decimal <- function(x) if (is.character(x)) x else ifelse(is.na(x), NA_character_, sprintf("%.0f", x))

decimal_or_null <- function(x) if (is.na(x)) NULL else decimal(x)

ms <- function(time) if (is.na(time)) NULL else sprintf("%.0f", round(as.numeric(time) * 1000))

texts <- function(x) if (is.null(x)) NULL else vapply(x, identity, "", USE.NAMES = FALSE)

# A JSON object as a named list, also where it is empty.
object <- function(x) {
  x <- as.list(x)
  if (length(x) == 0) structure(list(), names = character()) else x
}

pairs <- function(x) if (is.null(x)) NULL else vapply(x, identity, "")

# Arrays stay arrays with one element.
array_of <- function(x) as.list(unname(x))

experiment_out <- function(x) {
  list(
    experiment_id = x$experiment_id, name = x$name, lifecycle_stage = x$lifecycle_stage, create_time = ms(x$create_time),
    update_time = ms(x$update_time), tags = object(x$tags)
  )
}

summary_out <- function(row) {
  list(
    value = bits(row$value), first = bits(row$first), min = bits_or_null(row$min), max = bits_or_null(row$max),
    step = decimal(row$step), first_step = decimal(row$first_step), min_step = decimal_or_null(row$min_step),
    max_step = decimal_or_null(row$max_step), timestamp = decimal(row$timestamp),
    first_timestamp = decimal(row$first_timestamp), count = decimal(row$count), nan_count = decimal(row$nan_count)
  )
}

run_out <- function(x) {
  summaries <- x$metric_summaries
  metrics <- lapply(seq_len(nrow(summaries)), function(i) summary_out(summaries[i, ]))
  inputs <- lapply(x$inputs, function(one) unclass(one))
  list(
    run_id = x$run_id, experiment_id = x$experiment_id, name = x$run_name, status = x$status,
    start_time = ms(x$start_time), end_time = ms(x$end_time), lifecycle_stage = x$lifecycle_stage,
    parent_run_id = if (!is.na(x$parent_run_id)) x$parent_run_id, params = object(x$params), tags = object(x$tags),
    metrics = object(stats::setNames(metrics, summaries$key)), inputs = inputs
  )
}

series_out <- function(points, run_id, key) {
  list(
    run_id = run_id, key = key, steps = array_of(decimal(points$step)), timestamps = array_of(decimal(points$timestamp)),
    values = array_of(bits(points$value))
  )
}

# The points of several series, each in a table of its own.
all_series_out <- function(points) {
  series <- paste(points$run_id, points$key)
  lapply(unique(series), function(one) {
    part <- points[series == one, , drop = FALSE]
    series_out(part, part$run_id[1], part$key[1])
  })
}

curve_out <- function(x) {
  integers <- c("first_x", "last_x", "min_x", "max_x", "count", "nan_count")
  columns <- lapply(names(x), function(name) array_of(if (name %in% integers) decimal(x[[name]]) else bits(x[[name]])))
  c(
    list(run_id = attr(x, "run_id"), key = attr(x, "key"), axis = attr(x, "axis"), points = decimal(attr(x, "points"))),
    stats::setNames(columns, names(x))
  )
}

# A point without a step or time has the default of the others' call; such batches are given as they are.
points_in <- function(metrics) {
  if (is.null(metrics)) {
    return(NULL)
  }
  column <- function(name) {
    found <- lapply(metrics, function(one) one[[name]])
    if (all(vapply(found, is.null, NA))) {
      return(NULL)
    }
    to_integer(vapply(found, function(one) if (is.null(one)) "0" else one, ""))
  }
  found <- data.frame(
    key = vapply(metrics, function(one) one$key, ""), value = to_double(lapply(metrics, function(one) one$value))
  )
  found$step <- column("step")
  found$timestamp <- column("timestamp")
  found
}
