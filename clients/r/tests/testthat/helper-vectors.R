# The vectors that all languages share lie in the repository, beside this package.
vectors <- function(...) {
  folder <- file.path("..", "..", "..", "vectors")
  named <- Sys.getenv("RUNWIRE_VECTORS", "")
  file.path(if (nzchar(named)) named else folder, ...)
}

skip_without_vectors <- function() skip_if(!file.exists(vectors("errors.json")), "the vectors lie in the repository")

read_json <- function(path) jsonlite::fromJSON(path, simplifyVector = FALSE)
