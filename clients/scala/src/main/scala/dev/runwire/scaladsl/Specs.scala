package dev.runwire.scaladsl

import java.time.Instant

import scala.jdk.CollectionConverters._

import dev.runwire.client

/** From default arguments to what the Java client takes. */
private[scaladsl] object Specs {

  def run(
      name: String,
      experiment: String,
      experimentId: String,
      runId: String,
      parentRunId: String,
      startTime: Option[Instant],
      params: Map[String, Any],
      tags: Map[String, Any]
  ): client.RunSpec = {
    val described = new client.RunSpec().params(Convert.texts(params)).tags(Convert.texts(tags))
    val named = filled(name, described)(_.name(_))
    val placed = filled(experimentId, filled(experiment, named)(_.experimentName(_)))(_.experimentId(_))
    val found = filled(parentRunId, filled(runId, placed)(_.runId(_)))(_.parentRunId(_))
    startTime.fold(found)(time => found.startTime(time))
  }

  private def filled(text: String, spec: client.RunSpec)(
      add: (client.RunSpec, String) => client.RunSpec
  ): client.RunSpec = if (text.isEmpty) spec else add(spec, text)

  def mask(
      fields: Seq[String],
      metricKeys: Seq[String],
      paramKeys: Seq[String],
      tagKeys: Seq[String]
  ): client.RunMask =
    new client.RunMask()
      .fields(fields.asJava)
      .metricKeys(metricKeys.asJava)
      .paramKeys(paramKeys.asJava)
      .tagKeys(tagKeys.asJava)

  def runs(
      experimentIds: Seq[String],
      filter: String,
      orderBy: Seq[String],
      view: LifecycleView,
      pageSize: Int,
      pageToken: String,
      mask: client.RunMask
  ): client.RunSearch =
    new client.RunSearch()
      .experimentIds(experimentIds.asJava)
      .filter(filter)
      .orderBy(orderBy.asJava)
      .view(view.java)
      .pageSize(pageSize)
      .pageToken(pageToken)
      .mask(mask)

  def experiments(
      filter: String,
      orderBy: Seq[String],
      view: LifecycleView,
      pageSize: Int,
      pageToken: String
  ): client.ExperimentSearch =
    new client.ExperimentSearch()
      .filter(filter)
      .orderBy(orderBy.asJava)
      .view(view.java)
      .pageSize(pageSize)
      .pageToken(pageToken)

  def curve(maxPoints: Int, axis: CurveAxis, minX: Option[Long], maxX: Option[Long]): client.CurveOptions =
    new client.CurveOptions().maxPoints(maxPoints).axis(axis.java).minX(orNull(minX)).maxX(orNull(maxX))

  def series(pairs: Seq[(String, String)]): java.util.List[client.SeriesKey] =
    pairs.map { case (runId, key) => client.SeriesKey.of(runId, key) }.asJava

  def orNull(bound: Option[Long]): java.lang.Long = bound.map(Long.box).orNull
}
