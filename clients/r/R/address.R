default_port <- 50051L

# Reads an address: text as a person writes it, gRPC's target, whether to use TLS, whether it is on this machine, and
# the folder whose server is meant, or NULL.
parse_address <- function(text) {
  if (!is.character(text) || length(text) != 1 || is.na(text)) {
    type_error("an address must be one string")
  }
  text <- enc2utf8(text)
  if (grepl("^(/|\\./|\\.\\./|~/)", text) || text %in% c(".", "..")) {
    folder <- absolute(text)
    return(list(text = folder, target = "", secure = FALSE, local = TRUE, folder = folder))
  }
  if (startsWith(text, "unix:")) {
    path <- sub("^//", "", substring(text, 6))
    if (!nzchar(path)) {
      value_error("the address '", text, "' names no socket; write unix:path")
    }
    return(list(text = text, target = paste0("unix:", path), secure = FALSE, local = TRUE, folder = NULL))
  }
  parse_host(text)
}

parse_host <- function(text) {
  scheme <- if (grepl("://", text, fixed = TRUE)) sub("://.*", "", text) else "runwire"
  rest <- sub("^[^:/]*://", "", text)
  if (!scheme %in% c("runwire", "runwires")) {
    value_error(
      "the address '", text, "' is not runwire://host:port, runwires://host:port, unix:path, host:port or a folder ",
      "such as ./runwire-data"
    )
  }
  shape <- "^(?:([A-Za-z0-9._-]+)|\\[([0-9A-Fa-f:.]+)(%[^]/?#@\\s]+)?\\])(?::([^/?#@]*))?/?$"
  found <- regmatches(rest, regexec(shape, rest, perl = TRUE))[[1]]
  if (length(found) == 0) {
    value_error("the address '", text, "' is not ", scheme, "://host:port")
  }
  port <- if (nzchar(found[5])) found[5] else as.character(default_port)
  if (!grepl("^[0-9]{1,5}$", port) || as.integer(port) > 65535L) {
    value_error("the address '", text, "' has a port that is not a number from 0 to 65535")
  }
  host <- if (nzchar(found[2])) tolower(found[2]) else paste0("[", tolower(found[3]), found[4], "]")
  target <- paste0(host, ":", as.integer(port))
  local <- host %in% c("localhost", "[::1]") || grepl("^127\\.[0-9.]+$", host)
  list(
    text = paste0(scheme, "://", target), target = target, secure = scheme == "runwires", local = local, folder = NULL
  )
}

env <- function(name) {
  found <- Sys.getenv(name, "")
  if (nzchar(found)) found else NULL
}

# A duration as seconds: R's own durations say their unit, plain numbers are seconds, and nothing else is one.
seconds <- function(given, what = "timeout", zero = FALSE) {
  found <- if (inherits(given, "difftime")) as.double(given, units = "secs") else given
  if (!is.numeric(found) || is.object(found) || length(found) != 1) {
    type_error(what, " must be one number of seconds, or one difftime")
  }
  if (!isTRUE(if (zero) found >= 0 else found > 0)) {
    value_error(what, " must be ", if (zero) "0 or more" else "more than 0", " seconds, and is ", format(given))
  }
  as.double(found)
}
