# How runs start: in which experiment, new or resumed.

# The name of the experiment of a client's runs that name none, if there is one.
named_experiment <- function(client) client$settings$experiment %||% env("RUNWIRE_EXPERIMENT")

# The id of that: what the session has set where this is its client, else what is named, else Default.
home_experiment <- function(client) {
  session <- the$session
  if (identical(client, session$client) && !is.null(session$experiment_id)) {
    return(session$experiment_id)
  }
  name <- named_experiment(client)
  if (is.null(name)) {
    return("0")
  }
  # It stays the one that it was at first, as that of a session does.
  if (is.null(client$experiment_id)) {
    client$experiment_id <- check_active(get_or_create_experiment(client, name))$experiment_id
  }
  client$experiment_id
}

# The same without a server: an id, or a name.
offline_experiment <- function(client) {
  session <- the$session
  own <- identical(client, session$client)
  if (own && !is.null(session$experiment_id)) {
    return(list(id = session$experiment_id))
  }
  name <- (if (own) session$experiment_name) %||% named_experiment(client)
  if (is.null(name)) list(id = "0") else list(name = name)
}

# The experiment of a run that is to be a parent, by id or by name: its children are of the same.
parent_experiment <- function(client, run_id) {
  checked(check_text("run_id", run_id, "parent_run_id"))
  for (run in the$session$stack) {
    if (run$run_id == run_id) {
      # Of one that began offline by name the client knows that, and of one that was resumed there maybe nothing.
      if (nzchar(run$experiment_id)) {
        return(list(id = run$experiment_id))
      }
      client <- attr(run, "client")
    }
  }
  found <- client$experiments[[run_id]]
  if (!is.null(found)) {
    return(found)
  }
  if (client$mode == "offline") {
    stop(failed_precondition(
      "the experiment of the parent ", run_id, " is not known offline: give experiment_id or experiment_name"
    ))
  }
  list(id = runwire_get_run(run_id, fields = "experiment_id", client = client)$experiment_id)
}

start_new_run <- function(client, experiment_id, experiment_name, run_name, parent, tags) {
  if (is.null(experiment_id) && is.null(experiment_name)) {
    found <- if (!is.null(parent)) {
      parent_experiment(client, parent)
    } else if (client$mode == "offline") {
      offline_experiment(client)
    }
    experiment_id <- found$id
    experiment_name <- found$name
  }
  if (client$mode == "offline") {
    begun <- begin_run(client, experiment_id, experiment_name, NULL, run_name, NULL, parent, NULL, tags)
    return(unasked_run(
      begun$run_id, "RUNNING", begun$experiment_id %||% "", begun$name, begun$start_time, parent, tags = tags
    ))
  }
  if (!is.null(experiment_name)) experiment_id <- get_or_create_experiment(client, experiment_name)$experiment_id
  run <- runwire_create_run(
    experiment_id %||% home_experiment(client),
    run_name = run_name, parent_run_id = parent, tags = tags, client = client
  )
  runwire_keep_alive(run$run_id, client)
  run
}

resume_run <- function(client, run_id, run_name, tags) {
  if (client$mode == "offline") {
    fields <- c("status", if (!is.null(run_name)) "name")
    update <- list(run_id = run_id, name = run_name, status = "RUN_STATUS_RUNNING", update_mask = fields)
    checked(log_record(client$pipeline, run_id, record_bytes(update = update), FALSE))
  } else {
    runwire_update_run(run_id, "RUNNING", run_name, client)
  }
  runwire_keep_alive(run_id, client)
  if (length(tags) > 0) runwire_set_tags(tags, run_id, client)
  if (client$mode == "offline") unasked_run(run_id, "RUNNING") else runwire_get_run(run_id, client = client)
}

# RUNWIRE_RUN_ID once: the next run that is started is another one.
environment_run <- function() {
  session <- the$session
  if (session$environment_run_used) {
    return(NULL)
  }
  found <- env("RUNWIRE_RUN_ID")
  session$environment_run_used <- !is.null(found)
  found
}

# Who runs what, by the tag names of MLflow; those that the user gives come instead.
source_tags <- function(given) {
  file <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
  found <- c(
    mlflow.source.name = if (length(file) > 0) file[1] else "R", mlflow.source.type = "LOCAL",
    mlflow.user = Sys.info()[["user"]]
  )
  found[setdiff(names(found), given)]
}
