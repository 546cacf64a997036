# The ops that log to a run.
inputs_in <- function(inputs) lapply(inputs, function(one) do.call(runwire_dataset, one))

logging_ops <- list(
  log_metric = function(a) {
    call_with(
      runwire_log_metric,
      key = a$key, value = to_double(a$value), step = maybe_integer(a$step), timestamp = maybe_integer(a$timestamp),
      run_id = a$run_id, client = client_of(a)
    )
  },
  log_metrics = function(a) {
    call_with(
      runwire_log_metrics,
      metrics = vapply(a$metrics, to_double, 0), step = maybe_integer(a$step), timestamp = maybe_integer(a$timestamp),
      run_id = a$run_id, client = client_of(a)
    )
  },
  log_series = function(a) {
    call_with(
      runwire_log_series,
      key = a$key, values = to_double(a$values), steps = maybe_integer(a$steps),
      timestamps = maybe_integer(a$timestamps), run_id = a$run_id, client = client_of(a)
    )
  },
  log_batch = function(a) {
    call_with(
      runwire_log_batch,
      metrics = points_in(a$metrics), params = pairs(a$params), tags = pairs(a$tags), run_id = a$run_id,
      client = client_of(a)
    )
  },
  log_until_full = function(a) {
    first <- 0
    error <- tryCatch(
      {
        while (first < a$most) {
          steps <- first + 0:999
          runwire_log_series(a$key, steps, steps, run_id = a$run_id, client = client_of(a))
          first <- first + 1000
        }
        NULL
      },
      runwire_error = error_out
    )
    list(count = decimal(first), error = error)
  },
  log_param = function(a) nothing(runwire_log_param(a$key, a$value, run_id = a$run_id, client = client_of(a))),
  log_params = function(a) runwire_log_params(pairs(a$params), run_id = a$run_id, client = client_of(a)),
  set_tag = function(a) runwire_set_tag(a$key, a$value, run_id = a$run_id, client = client_of(a)),
  set_tags = function(a) runwire_set_tags(pairs(a$tags), run_id = a$run_id, client = client_of(a)),
  delete_tag = function(a) runwire_delete_tag(a$key, run_id = a$run_id, client = client_of(a)),
  log_inputs = function(a) runwire_log_inputs(inputs_in(a$inputs), run_id = a$run_id, client = client_of(a)),
  log_many = function(a) {
    client <- client_of(a)
    threads <- if (is.null(a$threads)) 1 else a$threads
    first <- if (is.null(a$first_step)) 0 else to_integer(a$first_step)
    time <- maybe_integer(a$timestamp)
    run_id <- a$run_id
    for (thread in seq_len(threads) - 1) {
      key <- if (threads > 1) paste0(a$key, "-", thread) else a$key
      for (step in first + seq_len(as.numeric(a$count)) - 1) {
        runwire_log_metric(key, step, step = step, timestamp = time, run_id = run_id, client = client)
      }
    }
  },
  log_bulk = function(a) {
    values <- as.double(seq_len(as.numeric(a$count)) - 1)
    for (time in seq_len(as.numeric(a$times)) - 1) {
      steps <- time * length(values) + values
      runwire_log_series(a$key, values, steps, run_id = a$run_id, client = client_of(a))
    }
  },
  log_runs = function(a) {
    client <- client_of(a)
    ids <- vapply(seq_len(as.numeric(a$count)) - 1, function(i) {
      id <- runwire_begin_run(a$experiment_id, run_name = paste0(a$prefix, "-", i), client = client)
      runwire_log_metric("m", i, run_id = id, client = client)
      id
    }, "")
    for (id in ids) runwire_finish_run(id, client = client)
    runwire_flush(client = client)
    list(run_ids = array_of(ids))
  }
)
