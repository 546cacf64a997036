package dev.runwire.scaladsl

import scala.concurrent.duration.FiniteDuration
import scala.jdk.CollectionConverters._

import dev.runwire.client

/** Logs to one run.
  *
  * Logging returns at once: what is logged goes through a spool on this machine to the server, in the order
  * of the calls, exactly once, also while the server is away or restarts. What is wrong with the arguments
  * throws at the call (`InvalidArgumentException`). What the server rejects is thrown by the next flush, or
  * at the run's end, as the exception that a call of its own would have thrown. When the buffers on the way
  * are full, a call waits. Threads may share a logger.
  */
class RunLogger private[scaladsl] (private[scaladsl] val logger: client.RunLogger) {

  /** The run's id. */
  def runId: String = logger.runId

  /** Adds one point to a metric, measured now.
    *
    * @param key
    *   the metric
    * @param value
    *   the value, kept bit by bit
    * @param step
    *   the step
    */
  def logMetric(key: String, value: Double, step: Long = 0): Unit = logger.logMetric(key, value, step)

  /** Adds one point to a metric.
    *
    * @param key
    *   the metric
    * @param value
    *   the value, kept bit by bit
    * @param step
    *   the step
    * @param timestamp
    *   when it was measured, unix ms
    */
  def logMetric(key: String, value: Double, step: Long, timestamp: Long): Unit =
    logger.logMetric(key, value, step, timestamp)

  /** Adds one point to each of several metrics: all or none.
    *
    * @param metrics
    *   the values
    * @param step
    *   the step
    */
  def logMetrics(metrics: Map[String, Double], step: Long = 0): Unit =
    logger.logMetrics(Convert.numbers(metrics), step)

  /** Adds one point to each of several metrics: all or none.
    *
    * @param metrics
    *   the values
    * @param step
    *   the step
    * @param timestamp
    *   when they were measured, unix ms
    */
  def logMetrics(metrics: Map[String, Double], step: Long, timestamp: Long): Unit =
    logger.logMetrics(Convert.numbers(metrics), step, timestamp)

  /** Adds many points to a metric, the cheapest way where they are in an array.
    *
    * @param key
    *   the metric
    * @param values
    *   the values
    * @param steps
    *   as many steps; empty for 0, 1, 2 ...
    * @param timestamps
    *   as many times, unix ms; empty for now
    */
  def logSeries(
      key: String,
      values: Array[Double],
      steps: Array[Long] = Array.emptyLongArray,
      timestamps: Array[Long] = Array.emptyLongArray
  ): Unit = logger.logSeries(key, values, orNull(steps), orNull(timestamps))

  private def orNull(column: Array[Long]): Array[Long] = if (column.isEmpty) null else column

  /** Adds points, params and tags: all or nothing.
    *
    * @param metrics
    *   the points, at most about 100,000
    * @param params
    *   at most 1,000
    * @param tags
    *   at most 1,000
    */
  def logBatch(
      metrics: Iterable[Metric] = Nil,
      params: Map[String, Any] = Map.empty,
      tags: Map[String, Any] = Map.empty
  ): Unit = {
    val batch = new client.Batch().params(Convert.texts(params)).tags(Convert.texts(tags))
    metrics.foreach { one =>
      one.timestamp match {
        case Some(time) => batch.metric(one.key, one.value, one.step, time)
        case None => batch.metric(one.key, one.value, one.step)
      }
    }
    logger.logBatch(batch)
  }

  /** Sets a param, for good; its value is sent as text. */
  def logParam(key: String, value: Any): Unit = logger.logParam(key, Convert.value(key, value))

  /** Sets params, for good: all or none; values are sent as text. */
  def logParams(params: Map[String, Any]): Unit = logger.logParams(Convert.texts(params))

  /** Sets a tag, overwriting it; its value is sent as text. */
  def setTag(key: String, value: Any): Unit = logger.setTag(key, Convert.value(key, value))

  /** Sets tags, overwriting them: all or none; values are sent as text. */
  def setTags(tags: Map[String, Any]): Unit = logger.setTags(Convert.texts(tags))

  /** Removes a tag; one that is not there is no error. */
  def deleteTag(key: String): Unit = logger.deleteTag(key)

  /** Records data sets that the run reads; one that it has already changes nothing.
    *
    * @param inputs
    *   1 to 100 data sets, with what they are used for
    */
  def logInputs(inputs: DatasetInput*): Unit = logger.logInputs(inputs.map(Convert.toInput).toList.asJava)

  /** Records a data set that the run reads.
    *
    * @param dataset
    *   the data set
    * @param context
    *   what the run uses it for, such as `training`
    */
  def logInput(dataset: Dataset, context: String = ""): Unit = logInputs(DatasetInput(dataset, context))

  /** Waits until everything logged so far is on the server's disk; offline, on this machine's.
    *
    * @throws RunwireException
    *   something is not delivered, or was rejected
    */
  def flush(): Unit = logger.flush()

  /** Waits as `flush()` does, at most for a time.
    *
    * @throws RunwireException
    *   something is not delivered, or was rejected
    */
  def flush(timeout: FiniteDuration): Unit = logger.flush(Convert.duration(timeout))
}
