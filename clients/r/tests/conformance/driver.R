# The conformance driver of R: requests come in as lines of JSON, answers go out. See tests/conformance/README.md.
suppressPackageStartupMessages({
  library(runwire)
  library(jsonlite)
})

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
source(file.path(here, "shapes.R"))
source(file.path(here, "logging.R"))

clients <- new.env()
watches <- new.env()

# Calls a function with the arguments that are there.
call_with <- function(f, ...) do.call(f, Filter(Negate(is.null), list(...)))

client_of <- function(args) clients[[if (is.null(args$client)) "c" else args$client]]

mask <- function(a) {
  list(
    fields = texts(a$fields), metric_keys = texts(a$metric_keys), param_keys = texts(a$param_keys),
    tag_keys = texts(a$tag_keys)
  )
}

with_mask <- function(f, a, ...) do.call(call_with, c(list(f, ...), mask(a)))

# All pages of a search, up to a limit.
all_pages <- function(page, limit) {
  found <- list()
  token <- NULL
  repeat {
    part <- page(token)
    found <- c(found, part$items)
    token <- part$next_page_token
    if (is.null(token) || (!is.null(limit) && length(found) >= limit)) break
  }
  if (is.null(limit)) found else utils::head(found, limit)
}

search_experiments <- function(a, token) {
  call_with(
    runwire_search_experiments_page,
    filter = a$filter, order_by = texts(a$order_by), view = a$view, page_size = a$page_size, page_token = token,
    client = client_of(a)
  )
}

search_runs <- function(a, token) {
  with_mask(
    runwire_search_runs_page, a,
    experiment_ids = texts(a$experiment_ids), filter = a$filter, order_by = texts(a$order_by), view = a$view,
    page_size = a$page_size, page_token = token, client = client_of(a)
  )
}

page_out <- function(page, out) list(items = lapply(page$items, out), next_page_token = page$next_page_token)

nothing <- function(done) {
  force(done)
  NULL
}

started <- function(a, f, ...) {
  call_with(
    f, ...,
    experiment_name = a$experiment_name, run_name = a$name, tags = pairs(a$tags), client = client_of(a)
  )
}

log_given <- function(a) {
  if (!is.null(a$params)) runwire_log_params(pairs(a$params))
  if (!is.null(a$metrics)) runwire_log_metrics(lapply(a$metrics, to_double))
}

ops <- list(
  connect = function(a) {
    retry <- if (!is.null(a$retry)) do.call(runwire_retry, a$retry)
    client <- call_with(
      runwire_connect,
      address = a$address, token = a$token, tls_ca = a$tls_ca, timeout = a$timeout, mode = a$mode,
      spool_dir = a$spool_dir, spool_bytes = a$spool_bytes, on_spool_full = a$on_spool_full,
      shutdown_timeout = a$shutdown_timeout, retry = retry
    )
    assign(if (is.null(a$client)) "c" else a$client, client, envir = clients)
    list(address = client$settings$address$text, mode = client$mode)
  },
  close = function(a) nothing(call_with(runwire_close, client = client_of(a), timeout = a$timeout)),
  flush = function(a) nothing(call_with(runwire_flush, client = client_of(a), timeout = a$timeout)),
  exit = function(a) {
    switch(a$how,
      normal = quit("no", 0),
      exception = ended$exception <- TRUE,
      hard = tools::pskill(Sys.getpid(), tools::SIGKILL)
    )
    NULL
  },
  sleep = function(a) nothing(Sys.sleep(a$seconds)),
  create_experiment = function(a) {
    list(experiment_id = call_with(
      runwire_create_experiment,
      name = a$name, tags = pairs(a$tags), client = client_of(a)
    ))
  },
  get_experiment = function(a) experiment_out(runwire_get_experiment(a$experiment_id, client = client_of(a))),
  get_experiment_by_name = function(a) {
    found <- runwire_get_experiment_by_name(a$name, client = client_of(a))
    if (!is.null(found)) experiment_out(found)
  },
  search_experiments = function(a) page_out(search_experiments(a, a$page_token), experiment_out),
  list_experiments = function(a) {
    list(items = lapply(all_pages(function(token) search_experiments(a, token), a$limit), experiment_out))
  },
  rename_experiment = function(a) runwire_rename_experiment(a$experiment_id, a$name, client = client_of(a)),
  delete_experiment = function(a) runwire_delete_experiment(a$experiment_id, client = client_of(a)),
  restore_experiment = function(a) runwire_restore_experiment(a$experiment_id, client = client_of(a)),
  set_experiment_tag = function(a) runwire_set_experiment_tag(a$key, a$value, a$experiment_id, client = client_of(a)),
  set_experiment_tags = function(a) runwire_set_experiment_tags(pairs(a$tags), a$experiment_id, client = client_of(a)),
  delete_experiment_tag = function(a) runwire_delete_experiment_tag(a$key, a$experiment_id, client = client_of(a)),
  create_run = function(a) {
    run_out(call_with(
      runwire_create_run,
      experiment_id = a$experiment_id, run_id = a$run_id, run_name = a$name, start_time = maybe_integer(a$start_time),
      parent_run_id = a$parent_run_id, status = a$status, params = pairs(a$params), tags = pairs(a$tags),
      allow_existing = a$allow_existing, client = client_of(a)
    ))
  },
  begin_run = function(a) {
    list(run_id = call_with(
      runwire_begin_run,
      experiment_id = a$experiment_id, experiment_name = a$experiment_name, run_id = a$run_id, run_name = a$name,
      start_time = maybe_integer(a$start_time), parent_run_id = a$parent_run_id, params = pairs(a$params),
      tags = pairs(a$tags), client = client_of(a)
    ))
  },
  get_run = function(a) run_out(with_mask(runwire_get_run, a, run_id = a$run_id, client = client_of(a))),
  search_runs = function(a) page_out(search_runs(a, a$page_token), run_out),
  list_runs = function(a) list(items = lapply(all_pages(function(token) search_runs(a, token), a$limit), run_out)),
  update_run = function(a) {
    run_out(call_with(runwire_update_run, run_id = a$run_id, status = a$status, name = a$name, client = client_of(a)))
  },
  finish_run = function(a) {
    run_out(call_with(
      runwire_finish_run,
      run_id = a$run_id, status = a$status, end_time = maybe_integer(a$end_time), client = client_of(a)
    ))
  },
  delete_run = function(a) runwire_delete_run(a$run_id, client = client_of(a)),
  restore_run = function(a) runwire_restore_run(a$run_id, client = client_of(a)),
  start_run = function(a) {
    run <- started(a, runwire_start_run)
    log_given(a)
    list(run_id = run$run_id)
  },
  with_run = function(a) {
    run_id <- NULL
    body <- function() {
      run_id <<- runwire_active_run()$run_id
      log_given(a)
      if (isTRUE(a$fail)) stop("the block fails")
    }
    tryCatch(
      # The call itself, to be evaluated inside.
      started(a, runwire_with_run, as.call(list(body))),
      simpleError = function(e) if (conditionMessage(e) != "the block fails") stop(e)
    )
    list(run_id = run_id)
  },
  get_metric_history = function(a) {
    found <- call_with(
      runwire_get_metric_history,
      run_id = a$run_id, key = a$key, min_step = maybe_integer(a$min_step), max_step = maybe_integer(a$max_step),
      client = client_of(a)
    )
    series_out(found, a$run_id, a$key)
  },
  get_metric_histories = function(a) {
    found <- call_with(
      runwire_get_metric_histories,
      run_ids = texts(a$run_ids), keys = texts(a$keys), min_step = maybe_integer(a$min_step),
      max_step = maybe_integer(a$max_step), client = client_of(a)
    )
    list(series = all_series_out(found))
  },
  get_metric_curve = function(a) curve_out(curves_of(a, runwire_get_metric_curve, run_id = a$run_id, key = a$key)),
  get_metric_curves = function(a) {
    series <- list(
      run_id = vapply(a$series, function(one) one$run_id, ""), key = vapply(a$series, function(one) one$key, "")
    )
    list(curves = lapply(curves_of(a, runwire_get_metric_curves, series = series), curve_out))
  },
  heartbeat = function(a) list(run_ids = array_of(runwire_heartbeat(texts(a$run_ids), client = client_of(a)))),
  watch_open = function(a) {
    watch <- call_with(
      runwire_watch,
      run_ids = texts(a$run_ids), keys = texts(a$keys), cursor = a$cursor, from_start = a$from_start,
      client = client_of(a)
    )
    event <- runwire_watch_next(watch)
    assign(a$watch, new.env(), envir = watches)
    watches[[a$watch]]$watch <- watch
    watches[[a$watch]]$events <- list(event)
    list(cursor = event$cursor)
  },
  watch_until = function(a) watch_until(watches[[a$watch]], a$points, a$timeout),
  watch_close = function(a) nothing(close(watches[[a$watch]]$watch)),
  server_info = function(a) {
    found <- unclass(runwire_server_info(client = client_of(a)))
    found$features <- array_of(found$features)
    found$limits <- lapply(found$limits, decimal)
    found
  },
  storage_stats = function(a) {
    found <- runwire_storage_stats(client = client_of(a))
    parts <- found$parts
    found <- lapply(found[names(found) != "parts"], decimal)
    found$parts <- lapply(seq_len(nrow(parts)), function(i) {
      c(list(name = parts$name[i]), lapply(parts[i, c("rows", "points", "bytes")], decimal))
    })
    found
  },
  purge = function(a) {
    lapply(call_with(runwire_purge, older_than = a$older_than, client = client_of(a)), decimal)
  },
  sync = function(a) {
    found <- call_with(
      runwire_sync,
      folder = a$folder, address = a$address, as_new_writer = a$as_new_writer, timeout = 120,
      retry = runwire_retry(connect_timeout = 120)
    )
    lapply(seq_len(nrow(found)), function(i) {
      list(
        spool = found$folder[i], delivered_frames = found$delivered[i], left_frames = found$left[i],
        rejected = array_of(found$rejected[[i]]), skipped = array_of(found$skipped[[i]]), problem = found$problem[i]
      )
    })
  },
  raw = function(a) {
    requests <- lapply(a$requests, function(hex) {
      digits <- strsplit(hex, "")[[1]]
      # A request may be empty.
      first <- seq_along(digits) %% 2 == 1
      as.raw(strtoi(paste0(digits[first], digits[!first]), 16L))
    })
    found <- runwire_call_raw(a$method, requests, client = client_of(a))
    list(responses = lapply(found, function(one) paste(as.character(one), collapse = "")))
  }
)
ops <- c(ops, logging_ops)

curves_of <- function(a, f, ...) {
  call_with(
    f, ...,
    max_points = a$max_points, axis = a$axis, min_x = maybe_integer(a$min_x), max_x = maybe_integer(a$max_x),
    client = client_of(a)
  )
}

watch_until <- function(held, points, timeout) {
  end <- proc.time()[["elapsed"]] + if (is.null(timeout)) 120 else timeout
  events <- held$events
  count <- function() sum(vapply(events, function(one) nrow(one$points), 0))
  timed_out <- FALSE
  while (count() < points) {
    event <- runwire_watch_next(held$watch, max(end - proc.time()[["elapsed"]], 0))
    if (is.null(event)) {
      timed_out <- TRUE
      break
    }
    events <- c(events, list(event))
  }
  held$events <- list()
  found <- do.call(rbind, lapply(events, function(one) one$points))
  list(
    series = if (is.null(found)) list() else all_series_out(found), cursor = held$watch$cursor,
    resync_run_ids = array_of(unlist(lapply(events, function(one) one$resync_run_ids))), timed_out = timed_out
  )
}

codes <- c(
  "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
  "DATA_LOSS", "UNAUTHENTICATED"
)

error_out <- function(e) {
  if (!inherits(e, "runwire_error")) {
    return(list(kind = "argument", message = conditionMessage(e)))
  }
  list(
    kind = "runwire", code = codes[vapply(codes, function(code) inherits(e, paste0("runwire_", tolower(code))), NA)][1],
    reason = e$reason, metadata = object(e$metadata), fields = array_of(e$violations$field), message = conditionMessage(e)
  )
}

answer <- function(request) {
  op <- ops[[request$op]]
  if (is.null(op)) {
    return(list(id = request$id, unsupported = request$op))
  }
  found <- tryCatch(
    list(ok = op(as.list(request$args))),
    runwire_error = function(e) list(error = error_out(e)),
    runwire_type_error = function(e) list(error = error_out(e)),
    runwire_value_error = function(e) list(error = error_out(e))
  )
  c(list(id = request$id), found)
}

say <- function(x) {
  cat(toJSON(x, auto_unbox = TRUE, null = "null", digits = NA), "\n", sep = "")
  flush(stdout())
}

# Answers requests until there are no more, or one leaves the run: that one's id is returned.
serve <- function() {
  while (length(line <- readLines(input, 1, encoding = "UTF-8")) > 0) {
    request <- fromJSON(line, simplifyVector = FALSE)
    if (request$op == "leave_run") {
      return(request$id)
    }
    if (request$op == "with_run" && isTRUE(request$args$stay)) {
      stay(request)
      next
    }
    found <- tryCatch(answer(request), error = function(e) {
      message("the driver failed at ", substring(line, 1, 200), ": ", conditionMessage(e))
      quit("no", 70)
    })
    if (isTRUE(ended$exception)) stop("an error that nobody catches")
    say(found)
  }
  NULL
}

# Answers requests within a run. Nothing catches errors here: one that is asked for is to end the script.
stay <- function(request) {
  left <- NULL
  run_id <- NULL
  body <- function() {
    run_id <<- runwire_active_run()$run_id
    log_given(request$args)
    say(list(id = request$id, ok = list(run_id = run_id)))
    left <<- serve()
  }
  started(request$args, runwire_with_run, as.call(list(body)))
  if (!is.null(left)) say(list(id = left, ok = list(run_id = run_id)))
}

ended <- new.env()
input <- file("stdin", "r", encoding = "UTF-8")
say(list(driver = "r", version = as.character(utils::packageVersion("runwire")), pid = Sys.getpid()))
serve()
