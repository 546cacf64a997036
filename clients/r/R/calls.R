# Nothing of these was stored, or a repeat under the same request id gets the first answer.
# Nobody cancels a call here: CANCELLED is what a server that closes says of calls in flight.
repeatable_codes <- c("UNAVAILABLE", "ABORTED", "CANCELLED")

is_repeatable <- function(failure) {
  # A full disk may be cleared; a message that is too large stays so, and carries no delay.
  failure$code %in% repeatable_codes || (failure$code == "RESOURCE_EXHAUSTED" && !is.null(failure$retry_delay))
}

is_away <- function(failure) failure$code == "UNAVAILABLE" && !nzchar(failure$reason)

now <- function() proc.time()[["elapsed"]]

# The longest pause behind an attempt, seconds.
backoff <- function(retry, attempt) {
  min(retry$maximum, retry$initial * retry$multiplier^min(attempt - 1, 64))
}

# The seconds that a call may take.
call_time <- function(client, timeout) if (is.null(timeout)) client$settings$timeout else seconds(timeout)

# What is left of so many seconds, for what shares them.
time_left <- function(given) {
  end <- now() + given
  function() max(end - now(), 0.001)
}

# What the last repeat has for its answer, seconds; a tenth of a call's time if that is less. One without would be done
# by the server and heard of by nobody, and its DEADLINE_EXCEEDED would hide what the server said before.
room <- 0.1

# The attempts of one call: how long the next may take, and whether there is one.
new_attempts <- function(client, timeout, reached = client$reached) {
  retry <- client$settings$retry
  start <- now()
  deadline <- start + timeout
  latest <- deadline - min(room, timeout / 10)
  count <- 0L
  # Whether the window in which a server has to be reached is over when the next attempt begins.
  last <- FALSE
  folder <- client$settings$address$folder

  remaining <- function() deadline - now()

  # Seconds to wait before the next attempt; NULL if there is none.
  pause <- function(failure) {
    count <<- count + 1L
    if (!is_repeatable(failure) || count == retry$max_attempts) {
      return(NULL)
    }
    wait <- draw(backoff(retry, count)) + (failure$retry_delay %||% 0)
    # Who joined a folder had its server before.
    joined <- !is.null(folder) && !identical(failure$joined, FALSE)
    if (is_away(failure) && !reached && !joined) {
      if (last || now() >= latest) {
        return(NULL)
      }
      left <- max(0, min(start + retry$connect_timeout, latest) - now())
      last <<- wait >= left
      # One last attempt at the end of the window, so that it is as long as it says; or behind it: this one may have
      # found no server only because all stood still.
      return(min(wait, left))
    }
    reached <<- TRUE
    if (now() + wait < latest) wait
  }

  # The error to raise once there is no further attempt.
  final <- function(failure) {
    address <- client$settings$address$text
    start_one <- "Start one with `runwire server`, or name another with RUNWIRE_TRACKING_URI."
    if (failure$code == "DEADLINE_EXCEEDED" && !nzchar(failure$reason)) {
      hint <- if (reached || !is.null(folder)) "" else paste0(" ", start_one)
      failure$message <- sprintf("no answer from %s in %.1f s.%s", address, now() - start, hint)
    } else if (is_away(failure) && !identical(failure$joined, FALSE)) {
      # That of a folder says itself where there is no server.
      attempts <- if (count == 1L) "1 attempt" else paste(count, "attempts")
      failure$message <- sprintf(
        "no Runwire server answers at %s (%s in %.1f s). %s gRPC says: %s",
        address, attempts, now() - start, start_one, gsub("\\s+", " ", failure$message)
      )
    } else {
      return(failure_error(failure))
    }
    failure$metadata <- c(address = address)
    failure_error(failure)
  }

  list(remaining = remaining, pause = pause, final = final)
}

# Sends a request and returns the answer as a list; repeats it, under the same request id, while that may help.
send <- function(client, service, method, request, timeout = NULL, behind_logs = TRUE) {
  left <- time_left(call_time(client, timeout))
  check_online(client, method)
  if (behind_logs) deliver(client, left())
  attempts <- new_attempts(client, left())
  repeat {
    channel <- channel_of(client, attempts$remaining())
    answer <- if (is_failure(channel)) {
      channel
    } else {
      call_unary(the$schema, channel, service, method, request, max(attempts$remaining(), 0.001))
    }
    if (!is_failure(answer)) {
      note_reached(client)
      return(checked(answer))
    }
    wait_after(client, attempts, answer)
  }
}

# The server has answered: from now on it is worth waiting for.
note_reached <- function(client) {
  if (!client$reached) {
    client$reached <- TRUE
    checked(pipeline_reached(client$pipeline))
  }
}

# Waits for the next attempt, so many seconds at most, or raises the error if there is none.
wait_after <- function(client, attempts, failure, most = Inf) {
  if (failure$code == "UNAVAILABLE") lose_server(client)
  if (nzchar(failure$reason)) note_reached(client)
  pause <- attempts$pause(failure)
  if (is.null(pause)) stop(attempts$final(failure))
  rest(min(pause, max(most, 0)))
}

# Sends a request whose answer is a stream of messages, and returns them all.
send_streaming <- function(client, service, method, request, timeout = NULL) {
  left <- time_left(call_time(client, timeout))
  check_online(client, method)
  deliver(client, left())
  attempts <- new_attempts(client, left())
  repeat {
    stream <- open_stream(client, service, method, request, attempts$remaining())
    found <- if (is_failure(stream)) stream else collect_stream(stream)
    if (!is_failure(found)) {
      note_reached(client)
      return(found)
    }
    wait_after(client, attempts, found)
  }
}

# A stream; or a failure, as of channel_of().
open_stream <- function(client, service, method, request, timeout) {
  channel <- channel_of(client, timeout)
  if (is_failure(channel)) {
    return(channel)
  }
  checked(stream_open(the$schema, channel, service, method, request, max(timeout, 0.001)))
}

collect_stream <- function(stream) {
  on.exit(stream_cancel(stream))
  found <- list()
  count <- 0L
  repeat {
    message <- stream_read(the$schema, stream, Inf)
    if (is.null(message)) {
      return(found[seq_len(count)])
    }
    if (is_failure(message)) {
      return(message)
    }
    count <- count + 1L
    if (count > length(found)) length(found) <- 2L * count
    found[[count]] <- checked(message)
  }
}

# What the generated functions of raw calls do. A call is repeated where that may help, and must count once then.
raw_call <- function(service, method, request, client, timeout) {
  if ("request_id" %in% names(request) && is.null(request$request_id)) request$request_id <- request_id()
  send(given_client(client), service, method, request, timeout)
}

raw_stream <- function(service, method, request, client, timeout, on_message) {
  client <- given_client(client)
  if (!is.function(on_message)) {
    type_error("on_message must be a function")
  }
  left <- time_left(call_time(client, timeout))
  check_online(client, method)
  deliver(client, left())
  stream <- checked(open_stream(client, service, method, request, left()))
  on.exit(stream_cancel(stream))
  repeat {
    message <- checked(stream_read(the$schema, stream, Inf))
    if (is.null(message) || identical(on_message(message), FALSE)) {
      return(invisible(NULL))
    }
  }
}
