package dev.runwire.scaladsl

import dev.runwire.client

/** A run that was started here, and is ended here.
  *
  * [[Client.run]] ends it by itself. One that [[Client.startRun]] gives is ended by `finish`; closed without
  * it, it is FAILED, and KILLED if it is open when the client is closed or the process ends. Heartbeats are
  * sent until then.
  */
final class ActiveRun private[scaladsl] (run: client.ActiveRun) extends RunLogger(run) with AutoCloseable {

  /** The run's name; empty if it was resumed without asking the server. */
  def name: String = run.name

  /** Ends the run, behind all that was logged to it, and waits until that is delivered. A run that is ended
    * already stays as it is.
    *
    * @param status
    *   Finished, Failed or Killed
    * @throws RunwireException
    *   something is not delivered, or was rejected
    */
  def finish(status: RunStatus = RunStatus.Finished): Unit = run.finish(status.java)

  /** Ends the run as FAILED, unless `finish` has ended it. */
  override def close(): Unit = run.close()
}
