# gRPC does not go on behind a fork: who tries gets an error, and no hang.

# What each of some expressions does in a forked child: the class of its error, or "none".
in_child <- function(...) {
  tried <- eval(substitute(alist(...)))
  here <- parent.frame()
  child <- parallel::mcparallel(vapply(tried, function(one) {
    tryCatch({
      eval(one, here)
      "none"
    }, error = function(e) class(e)[1])
  }, ""))
  parallel::mccollect(child, wait = TRUE)[[1]]
}

expect_forked <- function(found) expect_identical(names(found)[found != "runwire_forked"], character())

test_that("every way in is an error in a forked child, and the parent goes on", {
  skip_on_os("windows")
  client <- shared_client()
  unused <- shared_client()
  run_id <- runwire_begin_run("0", client = client)
  run <- runwire_start_run(experiment_id = "0", client = client)
  runwire_flush(client = client)
  watch <- runwire_watch(run_id, client = client)
  runwire_watch_next(watch, 120)
  spool <- tempfile("spool")
  dir.create(spool)
  found <- in_child(
    connect = runwire_connect(shared$server$address, spool_dir = spool),
    sync = runwire_sync(spool, address = shared$server$address),
    server_info = runwire_server_info(client = client), first_call = runwire_server_info(client = unused),
    channel_open = runwire:::open_channel(unused, 1),
    get_run = runwire_get_run(run_id, client = client), update = runwire_update_run(run_id, name = "n", client = client),
    experiments = runwire_search_experiments(client = client), history = runwire_get_metric_history(run_id, "m", client = client),
    raw = runwire_call_raw("/runwire.v1.ServerService/GetServerInfo", list(raw()), client = client),
    rpc = rpc_get_server_info(client = client), watch = runwire_watch_next(watch, 1),
    new_watch = runwire_watch_next(runwire_watch(run_id, client = unused), 1),
    begin = runwire_begin_run("0", client = client), create = runwire_create_run("0", client = client),
    metric = runwire_log_metric("m", 1, run_id = run_id, client = client),
    metrics = runwire_log_metrics(c(a = 1, b = 2), run_id = run_id, client = client),
    series = runwire_log_series("m", 1:3, run_id = run_id, client = client),
    batch = runwire_log_batch(params = c(a = 1), run_id = run_id, client = client),
    param = runwire_log_param("p", 1, run_id = run_id, client = client),
    tag = runwire_set_tag("t", 1, run_id = run_id, client = client),
    alive = runwire_keep_alive(run_id, client = client), heartbeat = runwire_heartbeat(run_id, client = client),
    flush = runwire_flush(client = client), finish = runwire_finish_run(run_id, client = client),
    end_run = runwire_end_run(), close = runwire_close(client)
  )
  expect_forked(found)
  close(watch)
  runwire_log_metric("m", 1, run_id = run_id, client = client)
  expect_identical(runwire_get_run(run_id, client = client)$metrics, c(m = 1))
  expect_identical(runwire_active_run()$run_id, run$run_id)
  runwire_end_run()
  runwire_close(client)
  runwire_close(unused)
})

test_that("what needs no gRPC goes on in a forked child", {
  skip_on_os("windows")
  client <- shared_client()
  runwire_server_info(client = client)
  spool <- tempfile("spool")
  found <- in_child(offline = {
    other <- runwire_connect(mode = "offline", spool_dir = spool)
    id <- runwire_begin_run("0", client = other)
    runwire_log_metric("m", 1, run_id = id, client = other)
    runwire_close(other)
  })
  expect_identical(unname(found), "none")
  expect_identical(runwire_sync(spool, address = shared$server$address)$left, 0)
  runwire_close(client)
})
