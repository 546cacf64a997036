package dev.runwire

/** Runwire for Scala: experiment tracking over gRPC.
  *
  * {{{
  * import dev.runwire.scaladsl._
  *
  * val client = Runwire.connect("runwire://127.0.0.1:50051")
  * client.run("first", experiment = "wine", params = Map("alpha" -> 0.1)) { run =>
  *   for (step <- 0 until 100) run.logMetric("loss", 1.0 / (step + 1), step)
  * }
  * client.close()
  * }}}
  *
  * It is a facade over the Java client, with its guarantees. Calls that ask the server block;
  * [[Client.async]] has them as futures. What a failed call throws are the Java client's exceptions, which
  * have their names here too.
  */
package object scaladsl {

  /** A call that failed; the base of every error that a server or the way to it causes. */
  type RunwireException = client.RunwireException

  /** Other transactions kept getting in the way; nothing was stored. */
  type AbortedException = client.AbortedException

  /** A name or an id is taken. */
  type AlreadyExistsException = client.AlreadyExistsException

  /** The call was cancelled. */
  type CancelledException = client.CancelledException

  /** Stored data is damaged. */
  type DataLossException = client.DataLossException

  /** There was no answer within the call's time. */
  type DeadlineExceededException = client.DeadlineExceededException

  /** The thing is not in a state that allows this. */
  type FailedPreconditionException = client.FailedPreconditionException

  /** A bug or a damaged database on the server. */
  type InternalException = client.InternalException

  /** A field breaks a rule. */
  type InvalidArgumentException = client.InvalidArgumentException

  /** There is no such experiment, run or tag. */
  type NotFoundException = client.NotFoundException

  /** A position lies outside of what exists. */
  type OutOfRangeException = client.OutOfRangeException

  /** The caller may not do this. */
  type PermissionDeniedException = client.PermissionDeniedException

  /** A message is too large, or a disk is full. */
  type ResourceExhaustedException = client.ResourceExhaustedException

  /** There is no server at the address. */
  type ServerUnavailableException = client.ServerUnavailableException

  /** The token is missing or wrong. */
  type UnauthenticatedException = client.UnauthenticatedException

  /** The server or its database can not serve right now. */
  type UnavailableException = client.UnavailableException

  /** The server has no such method. */
  type UnimplementedException = client.UnimplementedException

  /** The error has a code that is not known. */
  type UnknownException = client.UnknownException
}
