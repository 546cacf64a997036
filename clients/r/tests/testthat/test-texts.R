# What is text, in whatever locale, and what becomes of numbers that are logged as text.

test_that("texts are stored as they are in every locale, or refused", {
  reader <- shared_client()
  for (locale in c("C", "C.UTF-8")) {
    script <- new_script(c(
      "client <- runwire_connect()",
      "bytes <- function(...) rawToChar(as.raw(c(0x63, ...)))",
      "latin <- bytes(0xe9)",
      "Encoding(latin) <- 'latin1'",
      "tags <- stats::setNames(list(bytes(0xc3, 0xa9), 2, latin), c('a', bytes(0xc3, 0xa9), 'b'))",
      "run <- runwire_create_run('0', run_name = bytes(0xc3, 0xa9), tags = tags, client = client)",
      "runwire_log_metric(bytes(0xc3, 0xa9), 1, run_id = run$run_id, client = client)",
      "data <- data.frame(x = bytes(0xc3, 0xa9))",
      "names(data) <- bytes(0xc3, 0xa9)",
      "runwire_log_input(runwire_dataset_from_data_frame(data, 'd'), run_id = run$run_id, client = client)",
      "cat('run', run$run_id, '\\n')",
      "unmapped <- bytes(0x81)",
      "Encoding(unmapped) <- 'latin1'",
      "for (bad in list(bytes(0xe9), unmapped)) {",
      "  named <- stats::setNames(1, bad)",
      "  uses <- list(",
      "    function() runwire_create_run('0', run_name = bad, client = client),",
      "    function() runwire_create_run('0', tags = c(a = bad), client = client),",
      "    function() runwire_create_experiment(bad, client = client),",
      "    function() runwire_begin_run(experiment_name = bad, client = client),",
      "    function() runwire_log_params(named, run_id = run$run_id, client = client),",
      "    function() runwire_set_tag('a', bad, run_id = run$run_id, client = client),",
      "    function() runwire_log_metric(bad, 1, run_id = run$run_id, client = client),",
      "    function() runwire_log_metrics(named, run_id = run$run_id, client = client),",
      "    function() runwire_log_inputs(runwire_dataset(bad, '1'), run_id = run$run_id, client = client),",
      "    function() runwire_search_runs('0', bad, client = client)",
      "  )",
      "  for (use in uses) {",
      "    error <- tryCatch({ use(); 'stored' }, runwire_invalid_field = conditionMessage, error = identity)",
      "    if (!grepl('must be text that UTF-8 can hold', error)[1]) { print(use); print(error) }",
      "  }",
      "}",
      "runwire_close(client)",
      "cat('done\\n')"
    ), RUNWIRE_TRACKING_URI = shared_address(), LC_ALL = locale)
    expect_identical(script$end(), 0L)
    expect_identical(script$lines[-1], "done", info = locale)
    run <- runwire_get_run(trimws(script$told("run")), client = reader)
    accented <- "c\u00e9"
    expect_identical(run$run_name, accented)
    expect_identical(run$tags, stats::setNames(c(accented, accented, "2"), c("a", "b", accented)))
    expect_identical(run$metrics, stats::setNames(1, accented))
    here <- stats::setNames(data.frame(accented), accented)
    described <- runwire_dataset_from_data_frame(here, "d")
    expect_identical(run$inputs[[1]]$schema, described$schema)
    expect_identical(run$inputs[[1]]$digest, described$digest)
  }
  runwire_close(reader)
})

test_that("integers of bit64 are texts of all their digits, also where bit64 is not loaded", {
  numbers <- c(a = "9007199254740993", b = "-1", c = "1", d = "NA")
  # The least of these integers stands for NA.
  bits <- as.raw(c(1, 0, 0, 0, 0, 0, 0x20, 0, rep(0xff, 8), 1, rep(0, 14), 0x80))
  integer64 <- function(bytes) structure(readBin(bytes, "double", length(bytes) / 8, endian = "little"), class = "integer64")
  given <- integer64(bits)
  names(given) <- names(numbers)
  expect_identical(runwire:::as_pairs("param", given), numbers)
  expect_identical(runwire:::as_pairs("tag", list(a = integer64(bits[1:8]))), numbers["a"])
  frame <- data.frame(key = names(numbers))
  frame$value <- unname(given)
  expect_identical(runwire:::as_pairs("tag", frame), numbers)
})
