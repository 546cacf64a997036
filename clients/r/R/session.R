# What the fluent functions remember: the server, the client, the experiment and the stack of open runs.
new_session <- function() {
  session <- new.env(parent = emptyenv())
  set_stack(session, list())
  session$scopes <- list()
  session$environment_run_used <- FALSE
  session
}

# Sets the stack of open runs; what is logged without naming a run goes to the last of them.
set_stack <- function(session, stack) {
  session$stack <- stack
  current <- if (length(stack) > 0) stack[[length(stack)]]
  session$run_id <- current$run_id
  session$pipeline <- attr(current, "client")$pipeline
}

#' Set the server of the session
#'
#' @param uri `runwire://host:port`, `runwires://host:port`, `unix:path`, `host:port`, or the folder of a server on this
#'   machine; see [runwire_connect()].
#' @return `runwire_set_tracking_uri` returns `NULL`, invisibly; the experiment that was set is forgotten, being one of the
#'   old server's. A run that is open goes on at the server that it was started at. `runwire_get_tracking_uri` returns the address of the server that everything goes to, and `NULL` if none
#'   is named.
#' @examples
#' runwire_set_tracking_uri("runwire://127.0.0.1:50051")
#' runwire_get_tracking_uri()
#' @export
runwire_set_tracking_uri <- function(uri) {
  found <- parse_address(uri)
  session <- the$session
  session$uri <- found$text
  session$experiment_id <- session$experiment_name <- NULL
  retire_client()
  invisible(NULL)
}

#' @rdname runwire_set_tracking_uri
#' @export
runwire_get_tracking_uri <- function() {
  named <- the$session$uri %||% env("RUNWIRE_TRACKING_URI")
  if (is.null(named)) NULL else parse_address(named)$text
}

# The session's client, made at the first use and when the address or the mode changes.
session_client <- function() {
  session <- the$session
  found <- session$client
  if (!is.null(found)) {
    named <- session$uri %||% env("RUNWIRE_TRACKING_URI")
    if (identical(named, session$named) && identical(find_mode(NULL), found$mode)) {
      return(found)
    }
    retire_client()
    # The experiment is one of the old server's.
    if (!identical(named, session$named)) session$experiment_id <- session$experiment_name <- NULL
  }
  session$named <- session$uri %||% env("RUNWIRE_TRACKING_URI")
  session$client <- runwire_connect(session$named)
  session$client
}

# Has the session go by another client from now on. Runs that are open go on with the one they have, which the last of
# them closes.
retire_client <- function() {
  session <- the$session
  old <- session$client
  session$client <- NULL
  if (is.null(old)) {
    return(invisible(NULL))
  }
  if (has_open_runs(old)) old$retired <- TRUE else runwire_close(old)
}

has_open_runs <- function(client) {
  any(vapply(the$session$stack, function(run) identical(attr(run, "client"), client), NA))
}

#' Set the experiment of the session
#'
#' Runs that are started later belong to it; an experiment with a new name is created.
#'
#' @param experiment_name Its name, or
#' @param experiment_id its id.
#' @return The experiment, invisibly; offline `NULL`.
#' @examples
#' \dontrun{
#' runwire_set_experiment("cars")
#' }
#' @export
runwire_set_experiment <- function(experiment_name = NULL, experiment_id = NULL) {
  if (is.null(experiment_name) == is.null(experiment_id)) {
    value_error("runwire_set_experiment takes either a name or an experiment_id")
  }
  session <- the$session
  client <- session_client()
  if (client$mode == "offline") {
    session$experiment_name <- experiment_name
    session$experiment_id <- if (!is.null(experiment_id)) as_id(experiment_id)
    return(invisible(NULL))
  }
  found <- if (is.null(experiment_name)) {
    runwire_get_experiment(experiment_id, client)
  } else {
    get_or_create_experiment(client, experiment_name)
  }
  session$experiment_id <- check_active(found)$experiment_id
  invisible(found)
}

check_active <- function(experiment) {
  if (experiment$lifecycle_stage == "deleted") {
    stop(new_error(
      "FAILED_PRECONDITION",
      paste0("the experiment '", experiment$name, "' is deleted; restore it, or purge it to use the name again"),
      "EXPERIMENT_DELETED", c(experiment_id = experiment$experiment_id)
    ))
  }
  experiment
}

get_or_create_experiment <- function(client, name) {
  found <- runwire_get_experiment_by_name(name, client)
  if (!is.null(found)) {
    return(found)
  }
  id <- tryCatch(
    runwire_create_experiment(name, client = client),
    # Another process of the same job was faster.
    runwire_already_exists = function(e) e$metadata[["experiment_id"]]
  )
  runwire_get_experiment(id, client)
}

#' Start, use and end the current run
#'
#' What is logged without naming a run goes to the current run, and starts one if there is none. `runwire_with_run` starts
#' a run, evaluates an expression and ends the run: as FINISHED, as FAILED if the expression fails, and as KILLED if the
#' user interrupts it. `with(run, expr)` does the same for a run that was started before and is the current one.
#'
#' Runs that are open when the session ends are ended as FINISHED; as FAILED if an error that nobody dealt with ends a script
#' inside their block, and as KILLED by SIGTERM, unless the program handles that signal itself.
#'
#' @param run_id The run to resume; it is RUNNING again. `NULL` for a new run, or for the environment's
#'   `RUNWIRE_RUN_ID` the first time.
#' @param experiment_id The experiment of a new run; `NULL` for that of its parent, else the one that is set, else that
#'   of the client. Offline it has to be given where the parent began elsewhere.
#' @param run_name Its name; `NULL` for one that is made up.
#' @param nested Allow a current run, which becomes the new run's parent.
#' @param parent_run_id The parent, where it is not the current run.
#' @param tags Tags to set: a named vector or list of single values, or a data frame with the columns `key` and `value`.
#' @param description A text about the run, one value, kept as the tag `mlflow.note.content`.
#' @param experiment_name The experiment of a new run by name, instead of its id; it is created if there is none.
#' @param status `"FINISHED"`, `"FAILED"` or `"KILLED"`.
#' @param expr What to evaluate while the run is the current one.
#' @param data A run that [runwire_start_run()] returned.
#' @param ... For `runwire_with_run` the arguments of `runwire_start_run`; not used by `with`.
#' @param client A client; `NULL` for that of the session. What is logged while its run is the current one goes by it.
#' @return `runwire_start_run` and `runwire_active_run` return the run as it was when it started, of the classes
#'   `runwire_active_run` and `runwire_run`; the latter `NULL` if there is none. `runwire_last_active_run` returns the run that
#'   was used last, as it is now. `runwire_with_run` and `with` return the value of `expr`. `runwire_end_run` returns `NULL`,
#'   invisibly, once all is delivered.
#' @examples
#' folder <- tempfile()
#' client <- runwire_connect(mode = "offline", spool_dir = folder)
#' runwire_with_run(experiment_name = "cars", client = client, {
#'   fit <- lm(mpg ~ wt, data = mtcars)
#'   runwire_log_param("formula", "mpg ~ wt")
#'   runwire_log_metric("r_squared", summary(fit)$r.squared)
#' })
#' runwire_close(client)
#' unlink(folder, recursive = TRUE)
#' @export
runwire_start_run <- function(run_id = NULL, experiment_id = NULL, run_name = NULL, nested = FALSE, parent_run_id = NULL,
                              tags = NULL, description = NULL, experiment_name = NULL, client = NULL) {
  if (!is.null(experiment_id) && !is.null(experiment_name)) {
    value_error("a run starts in one experiment: give either its id or its name")
  }
  check_flag("nested", nested)
  current <- runwire_active_run()
  if (!is.null(current) && !nested) {
    stop(failed_precondition(
      "the run ", current$run_id, " is active already: end it with runwire_end_run(), or start a run inside it with ",
      "nested = TRUE"
    ))
  }
  client <- logging_client(client)
  note <- if (!is.null(description)) c(mlflow.note.content = as_text(description, "description"))
  given <- c(as_pairs("tag", tags), note)
  resumed <- run_id %||% environment_run()
  if (!is.null(resumed)) {
    return(push_run(resume_run(client, as_run_id(resumed), run_name, given), client))
  }
  tags <- c(source_tags(names(given)), given)
  parent <- parent_run_id %||% current$run_id
  push_run(start_new_run(client, experiment_id, experiment_name, run_name, parent, tags), client)
}

push_run <- function(run, client) {
  class(run) <- c("runwire_active_run", class(run))
  attr(run, "client") <- client
  checked(pipeline_end_at_termination(client$pipeline, run$run_id))
  set_stack(the$session, c(the$session$stack, list(run)))
  the$session$last <- run
  run
}

# The client of the current run, else that of the session.
run_client <- function() {
  stack <- the$session$stack
  if (length(stack) > 0) attr(stack[[length(stack)]], "client") else session_client()
}

# What a function goes by that reads or changes, and one that logs: the client that it was given, if any.
given_client <- function(client) if (is.null(client)) session_client() else check_client(client)
logging_client <- function(client) if (is.null(client)) run_client() else check_client(client)

#' @rdname runwire_start_run
#' @export
runwire_end_run <- function(status = "FINISHED") {
  session <- the$session
  final_status(status)
  depth <- length(session$stack)
  if (depth > 0) {
    run <- session$stack[[depth]]
    # Off the stack first: a run that can not be ended must not swallow what is logged next.
    set_stack(session, session$stack[-depth])
    session$last <- run
    client <- attr(run, "client")
    log_finish(client, run$run_id, status, NULL)
    if (client$retired && !has_open_runs(client)) runwire_close(client) else runwire_flush(client = client)
  }
  invisible(NULL)
}

# Ends a run with those that were started inside it; one that is ended already stays so.
end_through <- function(run_id, status) {
  while (run_id %in% vapply(the$session$stack, function(run) run$run_id, "")) runwire_end_run(status)
}

#' @rdname runwire_start_run
#' @export
runwire_active_run <- function() {
  stack <- the$session$stack
  if (length(stack) > 0) stack[[length(stack)]]
}

#' @rdname runwire_start_run
#' @export
runwire_last_active_run <- function() {
  last <- the$session$last
  if (!is.null(last)) runwire_get_run(last$run_id, client = attr(last, "client"))
}

# How a run ended that was open when the session did: a script that fails is not unwound, and ends inside its block.
status_at_end <- function(run_id) {
  scope <- the$session$scopes[[run_id]]
  if (is.null(scope)) {
    return("FINISHED")
  }
  uncaught <- !is.null(scope$error) && grepl(substr(scope$error, 1, 100), geterrmessage(), fixed = TRUE)
  if (scope$status == "KILLED" || uncaught) scope$status else "FINISHED"
}

#' @rdname runwire_start_run
#' @export
runwire_with_run <- function(expr, ...) {
  run <- runwire_start_run(...)
  end_around(run, expr)
}

#' @rdname runwire_start_run
#' @export
with.runwire_active_run <- function(data, expr, ...) {
  # What is logged inside without naming a run would go to another one.
  if (!identical(runwire_active_run()$run_id, data$run_id)) {
    open <- data$run_id %in% vapply(the$session$stack, function(run) run$run_id, "")
    why <- if (open) "another one was started inside it" else "it is ended already"
    stop(failed_precondition("the run ", data$run_id, " is not the current run: ", why))
  }
  end_around(data, expr)
}

# Evaluates an expression, and ends a run as that ended.
end_around <- function(run, expr) {
  scope <- new.env(parent = emptyenv())
  scope$status <- "FINISHED"
  session <- the$session
  session$scopes[[run$run_id]] <- scope
  on.exit({
    session$scopes[[run$run_id]] <- NULL
    if (scope$status == "FINISHED") {
      end_through(run$run_id, scope$status)
    } else {
      # What stopped the expression must not give way to another error.
      tryCatch(end_through(run$run_id, scope$status), error = function(e) {
        warning("runwire could not end the run ", run$run_id, ": ", conditionMessage(e), call. = FALSE)
      })
    }
  })
  value <- withVisible(withCallingHandlers(
    # Where the stack is full there is no room for handlers: the error is raised again outside of what filled it.
    tryCatch(expr, stackOverflowError = stop),
    error = function(e) {
      scope$status <- "FAILED"
      scope$error <- conditionMessage(e)
    },
    interrupt = function(e) scope$status <- "KILLED"
  ))
  # An error that was dealt with inside is none.
  scope$status <- "FINISHED"
  if (value$visible) value$value else invisible(value$value)
}
