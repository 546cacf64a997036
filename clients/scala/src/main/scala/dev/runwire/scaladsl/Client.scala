package dev.runwire.scaladsl

import scala.concurrent.duration._

import dev.runwire.client
import dev.runwire.client.RunwireClient

/** A connection to a Runwire server; see [[Runwire.connect]].
  *
  * What is logged returns at once and is delivered in the background, in the order of the calls and exactly
  * once; `flush`, the end of a run and `close` wait for it. All other calls are on the server's disk when
  * they return, are repeated, under one request id, while the server is away, and see all that this client
  * has logged. Threads may share a client.
  *
  * Any call may throw a `RunwireException`: `UnauthenticatedException` if the server wants a token,
  * `ServerUnavailableException` if nothing answers, `DeadlineExceededException` if no answer came in time,
  * and what each method names. An empty text stands for an argument that is not given.
  *
  * @param underlying
  *   the Java client: the way to raw calls, by its channel
  */
final class Client private[scaladsl] (val underlying: RunwireClient)
    extends ExperimentCalls
    with RunLife
    with RunCalls
    with MetricCalls
    with AutoCloseable {

  /** The server's address. */
  def address: String = underlying.address

  /** Whether there is a server. */
  def mode: Mode = Mode.of(underlying.mode)

  /** The calls of this client as futures. Closing either closes both. */
  def async: AsyncClient = new AsyncClient(underlying.async)

  /** Makes a view of this client with another deadline for its calls, and for those of the runs, loggers and
    * watches that it gives. Closing either closes both.
    */
  def withTimeout(timeout: FiniteDuration): Client =
    new Client(underlying.withTimeout(Convert.duration(timeout)))

  /** Logs to a run, wherever it was started; it is not ended by that. */
  def logger(runId: String): RunLogger = new RunLogger(underlying.logger(runId))

  /** Logs to a run from a piece of work that may be done more than once, such as a task of Spark: whoever
    * does the same work again doubles nothing.
    *
    * Each attempt has to make the same records in the same order. An attempt that throws has its last records
    * forgotten, so that they do not pass for all of the work.
    *
    * The name has to be unlike that of all other work on the run, or the server takes what is logged second
    * for a repeat of what was logged first, and drops it. A task that logs twice does two works. So do two
    * jobs of Spark that compute the same data, which nobody cached: their stages differ, and both log.
    *
    * @param runId
    *   the run, which is there
    * @param work
    *   what names the work, such as an application
    * @param more
    *   further parts of the name, such as a stage, a partition, and which log of the task it is
    * @param body
    *   what to log
    * @return
    *   what the body returns, once all that it logged is on the server's disk
    * @throws IllegalStateException
    *   this client has logged the work already, or is about to; see `replayAttempt`
    */
  def replay[A](runId: String, work: String, more: String*)(body: ReplayLogger => A): A =
    replayAttempt("", runId, work, more: _*)(body)

  /** Logs as `replay` does, where this client may make several attempts at the work, such as those at a task
    * of Spark on one executor.
    *
    * @param attempt
    *   what names the attempt, unlike all others at this work
    */
  def replayAttempt[A](attempt: String, runId: String, work: String, more: String*)(
      body: ReplayLogger => A
  ): A = {
    val name = work +: more
    val writer = client.ReplayableLogger.writerId(runId, name: _*)
    val logger =
      try underlying.replayableLogger(writer, runId, attempt)
      catch {
        case taken: IllegalStateException =>
          throw new IllegalStateException(s"${name.mkString("/")}: ${taken.getMessage}", taken)
      }
    try {
      val result = body(new ReplayLogger(logger))
      logger.complete()
      result
    } finally logger.close()
  }

  /** Asks the server what it is and allows. */
  def serverInfo(): ServerInfo = Convert.serverInfo(underlying.serverInfo())

  /** Counts what the metric points take on the server's disk, by part. */
  def storageStats(): StorageStats = Convert.storageStats(underlying.storageStats())

  /** Removes for good what was deleted.
    *
    * @param olderThan
    *   only what was deleted at least this long ago
    */
  def purge(olderThan: FiniteDuration = Duration.Zero): PurgeResult =
    Convert.purgeResult(underlying.purge(Convert.duration(olderThan)))

  /** Waits until everything logged so far is on the server's disk; offline, on this machine's.
    *
    * @throws RunwireException
    *   something is not delivered, or was rejected
    */
  def flush(): Unit = underlying.flush()

  /** Waits as `flush()` does, at most for a time. */
  def flush(timeout: FiniteDuration): Unit = underlying.flush(Convert.duration(timeout))

  /** Delivers what was logged, and closes the connection. A closed client can not be used again.
    *
    * @throws RunwireException
    *   something is not delivered, or was rejected
    */
  override def close(): Unit = underlying.close()

  /** Closes as `close()` does, and gives up the delivery after a time. */
  def close(timeout: FiniteDuration): Unit = underlying.close(Convert.duration(timeout))
}
