package dev.runwire.scaladsl

import scala.jdk.CollectionConverters._

/** Takes a failed call apart: its reason, and the facts that go with it.
  *
  * {{{
  * try client.getRun(id)
  * catch { case Reason("RUN_NOT_FOUND", facts) => println("no run " + facts("run_id")) }
  * }}}
  */
object Reason {

  /** Matches a `RunwireException`.
    *
    * @param error
    *   what was thrown
    * @return
    *   the name of an `ErrorReason` in `error.proto`, empty if the failure carried none, and its metadata
    */
  def unapply(error: Throwable): Option[(String, Map[String, String])] = error match {
    case failed: RunwireException => Some((failed.reason, failed.metadata.asScala.toMap))
    case _ => None
  }
}

/** Takes an `InvalidArgumentException` apart: each field that breaks a rule, and what is wrong with it. */
object Violations {

  /** Matches an `InvalidArgumentException`.
    *
    * @param error
    *   what was thrown
    * @return
    *   pairs of a field's path and a description, in their order
    */
  def unapply(error: Throwable): Option[Seq[(String, String)]] = error match {
    case failed: InvalidArgumentException =>
      Some(failed.violations.asScala.map(one => (one.field, one.description)).toList)
    case _ => None
  }
}
