#' Describe a data set
#'
#' A data set is described when a run reads it; its contents stay where they are. `runwire_dataset_from_data_frame` describes
#' a data frame: equal contents have equal digests.
#'
#' @param name 1 to 500 characters.
#' @param digest A fingerprint of the contents, 1 to 64 characters.
#' @param source_type The kind of source, such as `"s3"`.
#' @param source Where it comes from; the server never follows it.
#' @param schema Its columns and types, JSON by custom.
#' @param profile Statistics of it, JSON by custom.
#' @param context What a run uses it for, such as `"training"`.
#' @return An object of class `runwire_dataset`, for [runwire_log_inputs()].
#' @examples
#' runwire_dataset_from_data_frame(mtcars, "mtcars")
#' @export
runwire_dataset <- function(name, digest, source_type = "", source = "", schema = "", profile = "", context = "") {
  found <- list(
    name = name, digest = digest, source_type = source_type, source = source, schema = schema, profile = profile,
    context = context
  )
  for (part in names(found)) check_string(part, found[[part]])
  structure(found, class = "runwire_dataset")
}

#' @rdname runwire_dataset
#' @param data A data frame.
#' @export
runwire_dataset_from_data_frame <- function(data, name, source = "", source_type = "local", context = "") {
  if (!is.data.frame(data)) {
    type_error("data must be a data frame")
  }
  named <- utf8_texts(names(data))
  if (!all(validUTF8(named))) {
    value_error("data has a column whose name is no text that UTF-8 can hold")
  }
  types <- vapply(data, function(column) class(column)[1], "", USE.NAMES = FALSE)
  columns <- paste0(
    "{\"name\":", json_text(named), ",\"type\":", json_text(types), "}",
    collapse = ",", recycle0 = TRUE
  )
  # XDR and format version 2 are the same on every machine, in every locale and for 1:3 and c(1L, 2L, 3L); the first 14
  # bytes tell of the version of R.
  plain <- stats::setNames(lapply(as.list(data), plain_column), named)
  bytes <- serialize(plain, NULL, version = 2, xdr = TRUE)[-(1:14)]
  runwire_dataset(
    name, digest16(bytes), source_type, source, paste0("{\"columns\":[", columns, "]}"),
    sprintf("{\"shape\":[%d,%d]}", nrow(data), ncol(data)), context
  )
}

# A column without its class, and with its texts in one encoding.
plain_column <- function(column) {
  column <- unclass(column)
  if (is.character(attr(column, "levels"))) attr(column, "levels") <- utf8_texts(attr(column, "levels"))
  if (is.character(column)) utf8_texts(column) else column
}

json_text <- function(text) {
  text <- gsub("\\", "\\\\", text, fixed = TRUE)
  text <- gsub("\"", "\\\"", text, fixed = TRUE)
  text <- gsub("\n", "\\n", text, fixed = TRUE)
  text <- gsub("\t", "\\t", text, fixed = TRUE)
  paste0("\"", gsub("[[:cntrl:]]", " ", text), "\"", recycle0 = TRUE)
}

new_input <- function(message) {
  it <- message$dataset
  runwire_dataset(it$name, it$digest, it$source_type, it$source, it$schema, it$profile, message$context)
}

#' @rdname runwire_dataset
#' @param x A data set.
#' @param ... Not used.
#' @export
format.runwire_dataset <- function(x, ...) {
  context <- if (nzchar(x$context)) paste0(", ", x$context)
  paste0("<runwire dataset ", x$name, ": ", x$digest, context, ">")
}

#' @rdname runwire_dataset
#' @export
print.runwire_dataset <- function(x, ...) {
  cat(format(x), "\n", sep = "")
  invisible(x)
}
