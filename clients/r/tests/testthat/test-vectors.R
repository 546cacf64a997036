from_hex <- function(hex) {
  if (is.null(hex)) {
    return(raw())
  }
  digits <- strsplit(hex, "")[[1]]
  as.raw(strtoi(paste0(digits[c(TRUE, FALSE)], digits[c(FALSE, TRUE)]), 16L))
}

code_names <- c(
  "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
  "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"
)

test_that("statuses are read as in every language", {
  skip_without_vectors()
  for (one in read_json(vectors("statuses.json"))) {
    number <- match(one$code, code_names, 100) - 1L
    failure <- runwire:::read_status(number, "text", from_hex(one$trailer))
    error <- runwire:::failure_error(failure)
    expect_identical(error$reason, one$reason, info = one$about)
    metadata <- vapply(one$metadata, identity, "")
    expect_identical(error$metadata[sort(names(error$metadata))], metadata[sort(names(metadata))], info = one$about)
    expect_identical(error$violations$field, vapply(one$violations, function(pair) pair[[1]], ""), info = one$about)
    expect_identical(
      error$violations$description, vapply(one$violations, function(pair) pair[[2]], ""), info = one$about
    )
    expect_equal(error$retry_delay, one$retry_delay, info = one$about)
    away <- one$name == "ServerUnavailable"
    expect_identical(inherits(error, "runwire_server_unavailable"), away, info = one$about)
  }
})

test_that("every reason has its classes, and is repeated as in every language", {
  skip_without_vectors()
  table <- read_json(vectors("errors.json"))
  for (reason in names(table$reasons)) {
    one <- table$reasons[[reason]]
    error <- runwire:::new_error(one$code, "text", reason)
    expect_s3_class(error, paste0("runwire_", tolower(reason)))
    expect_s3_class(error, paste0("runwire_", tolower(one$code)))
    delay <- if (one$retryable && one$code == "RESOURCE_EXHAUSTED") 1
    expect_identical(
      runwire:::is_repeatable(list(code = one$code, reason = reason, retry_delay = delay)), one$retryable, info = reason
    )
  }
})

test_that("spools are read as in every language", {
  skip_without_vectors()
  for (path in Sys.glob(vectors("spool", "*.json"))) {
    name <- sub("[.]json$", "", basename(path))
    expected <- read_json(path)
    copy <- tempfile("spools")
    dir.create(copy)
    file.copy(vectors("spool", name), copy, recursive = TRUE)
    spool <- runwire:::checked(runwire:::spool_open(file.path(copy, name), FALSE))
    found <- runwire:::checked(runwire:::spool_contents(spool$pointer))
    expect_equal(found$acked[["sequence"]], as.numeric(expected$acked$sequence), info = name)
    expect_equal(found$acked[["crc"]], expected$acked$crc, info = name)
    expect_equal(found$cut[["sequence"]], as.numeric(expected$cut$sequence), info = name)
    expect_equal(found$cut[["crc"]], expected$cut$crc, info = name)
    expect_equal(found$undelivered, expected$undelivered_frames, info = name)
    if (nzchar(expected$address)) expect_identical(found$address, expected$address, info = name)
    waiting <- Filter(function(frame) as.numeric(frame$sequence) > as.numeric(expected$acked$sequence), expected$frames)
    expect_length(found$frames, length(waiting))
    for (i in seq_along(waiting)) {
      expect_equal(found$frames[[i]]$crc, waiting[[i]]$crc, info = name)
      expect_length(found$frames[[i]]$payload, waiting[[i]]$payload_bytes)
    }
    expect_length(found$rejections, length(expected$rejections))
    expect_identical(found$aside$reason, expected$aside$reason, info = name)
    expect_identical(length(spool$skipped) > 0, sum(unlist(expected$torn_bytes)) > 0 || expected$segments_left_out > 0, info = name)
    runwire:::spool_close(spool$pointer)
  }
})
