package dev.runwire.scaladsl

import dev.runwire.client

/** Logs metrics of a piece of work that may be done more than once, such as a task of Spark, so that they are
  * stored once; see [[Client.replay]].
  *
  * Each attempt has to make the same records in the same order; only times may differ.
  */
final class ReplayLogger private[scaladsl] (writer: client.ReplayableLogger) {

  /** Adds one point to a metric, measured now.
    *
    * @param key
    *   the metric
    * @param value
    *   the value, kept bit by bit
    * @param step
    *   the step
    */
  def logMetric(key: String, value: Double, step: Long): Unit = writer.logMetric(key, value, step)

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
    writer.logMetric(key, value, step, timestamp)

  /** Adds one point to each of several metrics: one record.
    *
    * @param metrics
    *   the values, in the same order in each attempt
    * @param step
    *   the step
    */
  def logMetrics(metrics: Map[String, Double], step: Long): Unit =
    writer.logMetrics(Convert.numbers(metrics), step)

  /** Adds one point to each of several metrics: one record.
    *
    * @param metrics
    *   the values, in the same order in each attempt
    * @param step
    *   the step
    * @param timestamp
    *   when they were measured, unix ms
    */
  def logMetrics(metrics: Map[String, Double], step: Long, timestamp: Long): Unit =
    writer.logMetrics(Convert.numbers(metrics), step, timestamp)
}
