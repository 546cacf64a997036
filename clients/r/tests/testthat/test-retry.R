# How calls are repeated.

# The attempts of a call that finds no server, as its error has them.
attempts_of <- function(expr) {
  error <- expect_error(expr, class = "runwire_server_unavailable")
  as.numeric(sub(".*\\((\\d+) attempts? in .*", "\\1", conditionMessage(error)))
}

test_that("pauses do not depend on R's generator, and leave it as it is", {
  client <- new_client("127.0.0.1:1", retry = runwire_retry(connect_timeout = 1))
  # The first number of this seed is almost 0, and so would be all pauses.
  set.seed(531)
  before <- .Random.seed
  expect_lt(attempts_of(runwire_server_info(client = client)), 50)
  expect_identical(.Random.seed, before)
  # Nor do two calls, or two workers of one seed, draw the same.
  drawn <- vapply(1:200, function(i) {
    set.seed(1)
    runwire:::draw(2)
  }, 0)
  expect_gt(length(unique(drawn)), 190)
  expect_true(all(drawn >= 0 & drawn < 2))
  expect_lt(min(drawn), 0.5)
  expect_gt(max(drawn), 1.5)
})

test_that("settings that make no sense are refused where they are made", {
  for (bad in list(
    list(initial = 0), list(initial = -1), list(multiplier = 0.5), list(multiplier = NaN),
    list(initial = 3), list(initial = 1, maximum = 0.5), list(max_attempts = 0), list(max_attempts = 1.5),
    list(connect_timeout = -1)
  )) {
    expect_error(do.call(runwire_retry, bad), names(bad)[1], class = "runwire_value_error")
  }
  for (bad in list(list(multiplier = "2"), list(max_attempts = NULL), list(max_attempts = c(1, 2)))) {
    expect_error(do.call(runwire_retry, bad), names(bad)[1], class = "runwire_type_error")
  }
  expect_identical(runwire_retry(max_attempts = 3L)$max_attempts, 3L)
  expect_identical(runwire_retry()$max_attempts, Inf)
})

test_that("no repeat begins without time for its answer", {
  client <- new_client("127.0.0.1:1", retry = runwire_retry(initial = 0.001, maximum = 0.001))
  pause <- function(timeout, delay) {
    failure <- list(code = "ABORTED", reason = "STORAGE_CONFLICT", message = "m", retry_delay = delay)
    runwire:::new_attempts(client, timeout, reached = TRUE)$pause(failure)
  }
  expect_equal(pause(300, 200), 200, tolerance = 0.001)
  expect_null(pause(300, 299.91))
  expect_equal(pause(0.9, 0.1), 0.1, tolerance = 0.1)
  expect_null(pause(0.9, 0.82))
})
