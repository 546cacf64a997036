parse <- function(text) runwire:::parse_address(text)

test_that("addresses are read", {
  expect_identical(parse("runwire://h:1")$target, "h:1")
  expect_identical(parse("h")$text, "runwire://h:50051")
  expect_identical(parse("runwires://[::1]:7")$target, "[::1]:7")
  expect_true(parse("runwires://h")$secure)
  expect_true(parse("127.0.0.1:5")$local)
  expect_identical(parse("unix:/tmp/s")$target, "unix:/tmp/s")
  expect_identical(parse("./x")$folder, file.path(getwd(), "x"))
})

test_that("addresses that are none are refused", {
  for (bad in c("http://h", "runwire://", "runwire://h:x", "runwire://h:70000", "unix:", "runwire://h/p")) {
    expect_error(parse(bad), class = "runwire_value_error")
  }
})

test_that("addresses are read as in every language", {
  skip_without_vectors()
  told <- read_json(vectors("addresses.json"))
  for (one in told$read) {
    found <- parse(one$address)
    expect_identical(found[c("text", "target", "secure", "local")], one[c("text", "target", "secure", "local")])
  }
  for (folder in told$folders) expect_false(is.null(parse(folder)$folder), info = folder)
  for (bad in told$refused) expect_error(parse(bad), class = "runwire_value_error", info = bad)
})

test_that("without an address the error says what to set", {
  old <- Sys.getenv("RUNWIRE_TRACKING_URI", NA)
  Sys.unsetenv("RUNWIRE_TRACKING_URI")
  on.exit(if (!is.na(old)) Sys.setenv(RUNWIRE_TRACKING_URI = old))
  expect_error(runwire_connect(), "RUNWIRE_TRACKING_URI", class = "runwire_value_error")
})
