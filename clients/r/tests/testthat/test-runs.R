test_that("a run is created, logged to, read and searched", {
  client <- shared_client()
  id <- runwire_create_experiment(paste0("e", runwire:::mint_id()), tags = c(team = "red"), client = client)
  run <- runwire_create_run(id, params = list(alpha = 0.1, n = 3L), run_name = "first", client = client)
  expect_s3_class(run, "runwire_run")
  for (step in 1:20) runwire_log_metric("loss", 1 / step, step = step, run_id = run$run_id, client = client)
  runwire_log_metrics(c(a = 1, b = 2), step = 5, run_id = run$run_id, client = client)
  runwire_set_tag("colour", "blue", run_id = run$run_id, client = client)
  runwire_log_inputs(runwire_dataset("cars", "d1"), run_id = run$run_id, client = client)
  history <- runwire_get_metric_history(run$run_id, "loss", client = client)
  expect_identical(history$step, as.numeric(1:20))
  expect_identical(history$value, 1 / 1:20)
  done <- runwire_finish_run(run$run_id, client = client)
  expect_identical(done$status, "FINISHED")
  full <- runwire_get_run(run$run_id, client = client)
  expect_identical(full$params, c(alpha = "0.1", n = "3"))
  expect_identical(full$tags, c(colour = "blue"))
  expect_identical(full$metrics[["loss"]], 1 / 20)
  expect_identical(full$inputs[[1]]$name, "cars")
  found <- runwire_search_runs(id, "metrics.loss < 0.1 AND params.alpha = '0.1'", client = client)
  expect_identical(found$run_id, run$run_id)
  expect_identical(found$metrics.a, 1)
  expect_identical(nrow(runwire_search_runs(id, "metrics.loss > 1", client = client)), 0L)
  curve <- runwire_get_metric_curve(run$run_id, "loss", max_points = 5, client = client)
  expect_identical(sum(curve$count), 20)
  runwire_close(client)
})

test_that("pages are put together", {
  client <- shared_client()
  id <- runwire_create_experiment(paste0("e", runwire:::mint_id()), client = client)
  ids <- vapply(1:7, function(i) runwire_begin_run(id, client = client), "")
  page <- runwire_search_runs_page(id, page_size = 3, client = client)
  expect_length(page$items, 3)
  expect_true(nzchar(page$next_page_token))
  expect_setequal(runwire_search_runs(id, client = client)$run_id, ids)
  expect_identical(nrow(runwire_search_runs(id, max_results = 5, client = client)), 5L)
  runwire_close(client)
})

test_that("steps beyond 2^53 are strings, and doubles there are refused", {
  client <- shared_client()
  run_id <- runwire_begin_run("0", client = client)
  steps <- c("9007199254740993", "9223372036854775807")
  for (step in steps) runwire_log_metric("m", 1, step = step, run_id = run_id, client = client)
  expect_error(runwire_log_metric("m", 1, step = 2^54, run_id = run_id, client = client), class = "runwire_value_error")
  expect_identical(runwire_get_metric_history(run_id, "m", client = client)$step, steps)
  runwire_log_series("s", c(1, 2, 3), steps = c("1", "9007199254740993", "2"), run_id = run_id, client = client)
  found <- runwire_get_metric_history(run_id, "s", client = client)
  expect_identical(found$step, c("1", "2", "9007199254740993"))
  expect_identical(found$value, c(1, 3, 2))
  runwire_close(client)
})

test_that("values keep every bit, and NA is none", {
  client <- shared_client()
  run_id <- runwire_begin_run("0", client = client)
  values <- c(NaN, Inf, -Inf, -0, 5e-324, 0.1)
  runwire_log_series("m", values, run_id = run_id, client = client)
  found <- runwire_get_metric_history(run_id, "m", client = client)$value
  expect_identical(writeBin(found, raw()), writeBin(values, raw()))
  for (bad in list(NA_real_, NA, "1", TRUE, NULL, c(1, 2), factor("a"))) {
    expect_error(runwire_log_metric("m", bad, run_id = run_id, client = client), class = "runwire_type_error")
  }
  runwire_close(client)
})

# Integers as bit64 has them: their bits, by their bytes from the lowest on, as those of doubles.
integer64 <- function(...) {
  bytes <- as.raw(c(...))
  structure(readBin(bytes, "double", length(bytes) / 8, endian = "little"), class = "integer64")
}

test_that("values of bit64 are taken where a double holds them, and refused where not", {
  client <- shared_client()
  run_id <- runwire_begin_run("0", client = client)
  runwire_log_series(
    "m", integer64(7, rep(0, 7), rep(255, 8), rep(0, 6), 32, 0, rep(0, 7), 64),
    run_id = run_id, client = client
  )
  expect_identical(runwire_get_metric_history(run_id, "m", client = client)$value, c(7, -1, 2^53, 2^62))
  beyond <- list(integer64(1, rep(0, 5), 32, 0), integer64(rep(255, 7), 127))
  missing <- integer64(rep(0, 7), 128)
  for (bad in beyond) {
    expect_error(runwire_log_metric("m", bad, run_id = run_id, client = client), class = "runwire_value_error")
    expect_error(runwire_log_series("m", bad, run_id = run_id, client = client), class = "runwire_value_error")
    expect_error(runwire_log_metrics(list(m = bad), run_id = run_id, client = client), class = "runwire_value_error")
    expect_error(runwire_log_batch(list(m = bad), run_id = run_id, client = client), class = "runwire_value_error")
  }
  expect_error(
    runwire_log_metric("m", beyond[[1]], run_id = run_id, client = client), "9007199254740993",
    class = "runwire_value_error"
  )
  expect_error(runwire_log_metric("m", missing, run_id = run_id, client = client), "NA", class = "runwire_type_error")
  expect_error(runwire_metric_block("m", missing, steps = 1), class = "runwire_type_error")
  runwire_close(client)
})

test_that("wide rows go as groups and come back", {
  client <- shared_client()
  run_id <- runwire_begin_run("0", client = client)
  keys <- sprintf("k%02d", 1:30)
  for (step in 1:50) {
    runwire_log_metrics(stats::setNames(step * (1:30), keys), step = step, run_id = run_id, client = client)
  }
  points <- runwire_get_metric_histories(run_id, client = client)
  expect_identical(nrow(points), 1500L)
  expect_identical(points$value[points$key == "k30"], 30 * as.numeric(1:50))
  runwire_close(client)
})

test_that("a batch is all or nothing, and takes frames and blocks", {
  client <- shared_client()
  run_id <- runwire_begin_run("0", client = client)
  runwire_log_batch(
    data.frame(key = c("a", "b", "a"), value = c(1, 2, 3), step = c(1, 1, 2)),
    params = list(p = 1), tags = list(t = "x"), run_id = run_id, client = client
  )
  block <- runwire_metric_block(c("x", "y"), matrix(1:6, 3), steps = 1:3)
  runwire_log_batch(list(block), run_id = run_id, client = client)
  run <- runwire_get_run(run_id, client = client)
  expect_identical(run$metrics, c(a = 3, b = 2, x = 3, y = 6))
  expect_identical(run$params, c(p = "1"))
  runwire_close(client)
})
