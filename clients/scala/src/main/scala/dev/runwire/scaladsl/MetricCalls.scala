package dev.runwire.scaladsl

import scala.jdk.CollectionConverters._

import dev.runwire.client

/** What a [[Client]] reads of metrics. */
trait MetricCalls extends Facade {

  /** Returns the points of one metric of one run; none if the run has no such metric.
    *
    * @param minStep
    *   only points with a step of at least this
    * @param maxStep
    *   only points with a step of at most this
    * @throws NotFoundException
    *   there is no such run
    */
  def getMetricHistory(
      runId: String,
      key: String,
      minStep: Option[Long] = None,
      maxStep: Option[Long] = None
  ): MetricHistory =
    new MetricHistory(underlying.getMetricHistory(runId, key, Specs.orNull(minStep), Specs.orNull(maxStep)))

  /** Returns the points of several metrics of several runs in one call.
    *
    * @param runIds
    *   1 to 100 runs, deleted or not
    * @param keys
    *   the metrics; empty for all that each run has
    * @param minStep
    *   only points with a step of at least this
    * @param maxStep
    *   only points with a step of at most this
    * @return
    *   for each run, by id, the history of each metric that it has, by key
    * @throws NotFoundException
    *   there is no such run
    */
  def getMetricHistories(
      runIds: Seq[String],
      keys: Seq[String] = Nil,
      minStep: Option[Long] = None,
      maxStep: Option[Long] = None
  ): Map[String, Map[String, MetricHistory]] = Convert.histories(
    underlying.getMetricHistories(runIds.asJava, keys.asJava, Specs.orNull(minStep), Specs.orNull(maxStep))
  )

  /** Returns one metric of one run as it is to be drawn: in buckets that hide no spike. Costs as much as it
    * shows, not as much as the run has logged.
    *
    * @param maxPoints
    *   most buckets, at most 10,000
    * @param axis
    *   what x is
    * @param minX
    *   only points with an x of at least this
    * @param maxX
    *   only points with an x of at most this
    * @throws NotFoundException
    *   there is no such run
    */
  def getMetricCurve(
      runId: String,
      key: String,
      maxPoints: Int = 1000,
      axis: CurveAxis = CurveAxis.Step,
      minX: Option[Long] = None,
      maxX: Option[Long] = None
  ): MetricCurve = getMetricCurves(Seq(runId -> key), maxPoints, axis, minX, maxX).head

  /** Returns several curves in one call; see `getMetricCurve`.
    *
    * @param series
    *   1 to 100 pairs of a run and a metric
    * @return
    *   the curves, in the order asked for
    */
  def getMetricCurves(
      series: Seq[(String, String)],
      maxPoints: Int = 1000,
      axis: CurveAxis = CurveAxis.Step,
      minX: Option[Long] = None,
      maxX: Option[Long] = None
  ): Seq[MetricCurve] =
    underlying
      .getMetricCurves(Specs.series(series), Specs.curve(maxPoints, axis, minX, maxX))
      .asScala
      .map(new MetricCurve(_))
      .toList

  /** Watches runs: gives each new point as soon as it is on the server's disk.
    *
    * @param runIds
    *   1 to 100 runs, deleted or not
    * @param keys
    *   the metrics; empty for all
    * @param cursor
    *   the cursor of an earlier watch of the same runs, to go on behind it; empty for none
    * @param fromStart
    *   without a cursor: begin with the first point of each run, not with the next new one
    * @return
    *   events, for ever
    */
  def watchMetrics(
      runIds: Seq[String],
      keys: Seq[String] = Nil,
      cursor: String = "",
      fromStart: Boolean = false
  ): MetricWatch = new MetricWatch(
    underlying.watchMetrics(
      new client.WatchSpec().runIds(runIds.asJava).keys(keys.asJava).cursor(cursor).fromStart(fromStart)
    )
  )

  /** Says that runs are alive; a run that began to and is then silent for 2 minutes becomes LOST.
    *
    * @return
    *   those of the runs that are alive now
    */
  def heartbeat(runIds: Seq[String]): Seq[String] = underlying.heartbeat(runIds.asJava).asScala.toList
}
