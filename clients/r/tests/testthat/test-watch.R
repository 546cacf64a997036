test_that("a watch gives new points, and goes on behind its cursor", {
  client <- shared_client()
  run_id <- runwire_begin_run("0", client = client)
  watch <- runwire_watch(run_id, "m", client = client)
  first <- runwire_watch_next(watch, 120)
  expect_identical(nrow(first$points), 0L)
  runwire_log_metric("m", 1, step = 1, run_id = run_id, client = client)
  event <- runwire_watch_next(watch, 120)
  expect_identical(event$points$value, 1)
  close(watch)
  expect_null(runwire_watch_next(watch, 1))
  runwire_log_metric("m", 2, step = 2, run_id = run_id, client = client)
  runwire_flush(client = client)
  found <- NULL
  runwire_watch_metrics(run_id, function(event) {
    found <<- c(found, event$points$value)
    length(found) < 1
  }, keys = "m", cursor = event$cursor, client = client)
  expect_identical(found, 2)
  runwire_close(client)
})

test_that("a watch survives the restart of its server", {
  server <- new_server()
  client <- new_client(server$address)
  run_id <- runwire_begin_run("0", client = client)
  watch <- runwire_watch(run_id, client = client)
  runwire_watch_next(watch, 120)
  server$kill()
  server$start()
  runwire_log_metric("m", 5, run_id = run_id, client = client)
  expect_identical(runwire_watch_next(watch, 120)$points$value, 5)
  close(watch)
})

test_that("a watch waits no longer than it was told to while its server is away", {
  server <- new_server()
  client <- new_client(server$address, timeout = 300)
  run_id <- runwire_begin_run("0", client = client)
  watch <- runwire_watch(run_id, client = client)
  runwire_watch_next(watch, 120)
  server$kill()
  began <- Sys.time()
  setTimeLimit(elapsed = 120, transient = TRUE)
  expect_null(runwire_watch_next(watch, 1))
  setTimeLimit()
  expect_lt(as.numeric(Sys.time() - began, units = "secs"), 60)
  # It goes on afterwards.
  server$start()
  runwire_log_metric("m", 5, run_id = run_id, client = client)
  expect_identical(runwire_watch_next(watch, 120)$points$value, 5)
  close(watch)
})

test_that("a watch of a run that is not there fails", {
  client <- shared_client()
  watch <- runwire_watch("0198c5a4d7b27d0a8f3b1c2d3e4f5a6b", client = client)
  expect_error(runwire_watch_next(watch), class = "runwire_run_not_found")
  runwire_close(client)
})

test_that("a watch waits no longer than it was told to for what was logged before it", {
  server <- new_server()
  client <- new_client(server$address, timeout = 300)
  run_id <- runwire_create_run("0", client = client)$run_id
  server$kill()
  runwire_log_metric("m", 1, run_id = run_id, client = client)
  watch <- runwire_watch(run_id, from_start = TRUE, client = client)
  took <- system.time(expect_null(runwire_watch_next(watch, 0.5)))[["elapsed"]]
  expect_lt(took, 60)
  server$start()
  # The first event says that the watch is in place.
  runwire_watch_next(watch, 120)
  expect_identical(runwire_watch_next(watch, 120)$points$value, 1)
  close(watch)
})
