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

  /** Makes a view of this client with another deadline for its calls. Closing either closes both. */
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
    * @param runId
    *   the run, which is there
    * @param work
    *   what names the work, such as an application, a stage and a partition
    * @param body
    *   what to log
    * @return
    *   what the body returns, once all that it logged is on the server's disk
    */
  def replay[A](runId: String, work: String*)(body: ReplayLogger => A): A = {
    val writer = client.ReplayableLogger.writerId((runId +: work): _*)
    val logger = underlying.replayableLogger(writer, runId)
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
