schema <- function() runwire:::the$schema
round_trip <- function(type, value) {
  runwire:::message_from_raw(schema(), type, runwire:::checked(runwire:::message_to_raw(schema(), type, value)))
}

test_that("integers are doubles up to 2^53, and strings beyond", {
  found <- round_trip("Block", list(steps = list(steps = c(0, 2^53, -2^53))))
  expect_identical(found$steps$steps, c(0, 2^53, -2^53))
  large <- c("1", "9223372036854775807", "-9223372036854775808")
  expect_identical(round_trip("Block", list(steps = list(steps = large)))$steps$steps, large)
})

test_that("integers that are none are refused with the name of their field", {
  for (bad in list(1.5, NA, "x", TRUE, Inf)) {
    found <- runwire:::message_to_raw(schema(), "StepRange", list(first = bad))
    expect_s3_class(found, "runwire_problem")
    expect_match(found$message, "first")
  }
  expect_match(runwire:::message_to_raw(schema(), "StepRange", list(first = 2^54))$message, "2\\^53")
  expect_match(runwire:::message_to_raw(schema(), "StepRange", list(first = "9223372036854775808"))$message, "64 bits")
})

test_that("doubles keep every bit", {
  bits <- as.raw(c(0x7f, 0xf8, 0, 0, 0, 0, 0, 0x2a))
  values <- c(NaN, Inf, -Inf, -0, 5e-324, readBin(bits, "double", endian = "big"))
  found <- round_trip("Block", list(values = values))$values
  expect_identical(writeBin(found, raw()), writeBin(values, raw()))
})

test_that("presence, enums, maps, times and masks go both ways", {
  expect_null(round_trip("MetricSummary", list(key = "k"))$min_value)
  expect_identical(round_trip("MetricSummary", list(key = "k", min_value = 0))$min_value, 0)
  expect_identical(round_trip("Run", list(status = "RUN_STATUS_KILLED"))$status, "RUN_STATUS_KILLED")
  expect_identical(round_trip("Rejection", list(metadata = c(a = "b")))$metadata, c(a = "b"))
  time <- as.POSIXct(1700000000.123, origin = "1970-01-01", tz = "UTC")
  expect_equal(as.numeric(round_trip("Run", list(start_time = time))$start_time), 1700000000.123, tolerance = 1e-12)
  expect_identical(round_trip("RunMask", list(fields = c("name", "tags")))$fields, c("name", "tags"))
})

test_that("names that are no fields and values of the wrong type are refused", {
  expect_match(runwire:::message_to_raw(schema(), "Run", list(nam = "x"))$message, "no field nam")
  expect_match(runwire:::message_to_raw(schema(), "Run", list(status = "RUN_STATUS_FLYING"))$message, "status")
  expect_match(runwire:::message_to_raw(schema(), "Run", list(name = 1))$message, "name must be text")
})

test_that("durations are seconds, or R's own in their unit, and nothing else", {
  request <- function(given) runwire:::message_to_raw(schema(), "PurgeRequest", list(older_than = given))
  read_back <- function(given) round_trip("PurgeRequest", list(older_than = given))$older_than
  expect_equal(read_back(1.5), as.difftime(1.5, units = "secs"))
  for (unit in c("secs", "mins", "hours", "days", "weeks")) {
    given <- as.difftime(1.5, units = unit)
    expect_identical(as.double(read_back(given), units = "secs"), as.double(given, units = "secs"))
  }
  for (bad in list(Sys.Date(), Sys.time(), factor(1), "1", TRUE)) {
    expect_s3_class(request(bad), "runwire_problem")
  }
  expect_match(request(Sys.Date())$message, "older_than must be .*, not of the class Date")
  # Nor is a duration a time.
  expect_s3_class(
    runwire:::message_to_raw(schema(), "Run", list(start_time = as.difftime(1, units = "days"))), "runwire_problem"
  )
})
