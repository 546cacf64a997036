package dev.runwire.scaladsl

import java.util.concurrent.CompletionException
import java.util.concurrent.CompletionStage
import java.util.{Map => JavaMap}
import java.util.Optional
import java.util.OptionalDouble
import java.util.OptionalLong

import scala.concurrent.duration.FiniteDuration
import scala.concurrent.Future
import scala.concurrent.Promise
import scala.jdk.CollectionConverters._
import scala.util.control.NonFatal

import dev.runwire.client

/** Between the Java client's types and those of Scala. */
private[scaladsl] object Convert {

  def duration(time: FiniteDuration): java.time.Duration = java.time.Duration.ofNanos(time.toNanos)

  def option[A](found: Optional[A]): Option[A] = if (found.isPresent) Some(found.get) else None

  def map[A](found: JavaMap[String, A]): Map[String, A] = found.asScala.toMap

  /** Passes values of params and tags on, in their order; the Java client makes texts of them. */
  def texts(values: Map[String, Any]): JavaMap[String, AnyRef] = {
    val found = new java.util.LinkedHashMap[String, AnyRef](2 * values.size)
    values.foreach { case (key, one) => found.put(key, value(key, one)) }
    found
  }

  /** Takes the value of a param or tag out of its option; there is no text of none. */
  @annotation.tailrec
  def value(key: String, one: Any): AnyRef = one match {
    case Some(inner) => value(key, inner)
    case None => throw new IllegalArgumentException(s"the value of $key is None; leave it out")
    case other => other.asInstanceOf[AnyRef]
  }

  def numbers(values: Map[String, Double]): JavaMap[String, java.lang.Double] = {
    val found = new java.util.LinkedHashMap[String, java.lang.Double](2 * values.size)
    values.foreach { case (key, value) => found.put(key, value) }
    found
  }

  /** Makes a future of what a call becomes, which fails also where there is no call: for wrong arguments. */
  def future[A, B](stage: => CompletionStage[A])(convert: A => B): Future[B] = {
    val promise = Promise[B]()
    try
      stage.whenComplete { (value: A, error: Throwable) =>
        error match {
          case null => promise.complete(scala.util.Try(convert(value)))
          case wrapped: CompletionException if wrapped.getCause != null => promise.failure(wrapped.getCause)
          case other => promise.failure(other)
        }
        ()
      }
    catch { case NonFatal(wrong) => promise.failure(wrong) }
    promise.future
  }

  def page[A, B](found: client.Page[A])(convert: A => B): Page[B] =
    Page(found.items.asScala.map(convert).toList, option(found.nextPageToken))

  def experiment(found: client.Experiment): Experiment =
    Experiment(
      found.experimentId,
      found.name,
      LifecycleStage.of(found.lifecycleStage),
      found.createTime,
      found.updateTime,
      map(found.tags)
    )

  def run(found: client.Run): Run =
    Run(
      found.runId,
      found.experimentId,
      found.name,
      RunStatus.of(found.status),
      option(found.startTime),
      option(found.endTime),
      LifecycleStage.of(found.lifecycleStage),
      option(found.parentRunId),
      map(found.params),
      map(found.tags),
      map(found.metrics).map { case (key, one) => key -> summary(one) },
      found.inputs.asScala.map(input).toList
    )

  private def summary(found: client.MetricSummary): MetricSummary =
    MetricSummary(
      found.key,
      found.value,
      found.step,
      found.timestamp,
      found.count,
      found.nanCount,
      double(found.min),
      long(found.minStep),
      double(found.max),
      long(found.maxStep),
      found.first,
      found.firstStep,
      found.firstTimestamp
    )

  private def double(found: OptionalDouble): Option[Double] =
    if (found.isPresent) Some(found.getAsDouble) else None

  private def long(found: OptionalLong): Option[Long] = if (found.isPresent) Some(found.getAsLong) else None

  private def input(found: client.DatasetInput): DatasetInput = {
    val it = found.dataset
    DatasetInput(
      Dataset(it.name, it.digest, it.sourceType, it.source, it.schema, it.profile),
      found.context
    )
  }

  def toInput(input: DatasetInput): client.DatasetInput = {
    val it = input.dataset
    val described = client.Dataset
      .of(it.name, it.digest)
      .withSource(it.sourceType, it.source)
      .withSchema(it.schema)
      .withProfile(it.profile)
    client.DatasetInput.of(described, input.context)
  }

  def histories(
      found: JavaMap[String, JavaMap[String, client.MetricHistory]]
  ): Map[String, Map[String, MetricHistory]] =
    map(found).map { case (runId, of) =>
      runId -> map(of).map { case (key, one) => key -> new MetricHistory(one) }
    }

  def event(found: client.MetricEvent): MetricEvent =
    MetricEvent(
      found.blocks.asScala.map(new NewPoints(_)).toList,
      found.cursor,
      found.resyncRunIds.asScala.toList
    )

  def serverInfo(found: client.ServerInfo): ServerInfo =
    ServerInfo(
      found.version,
      found.apiVersion,
      found.database,
      found.features.asScala.toList,
      map(found.limits).map { case (name, limit) => name -> limit.longValue }
    )

  def storageStats(found: client.StorageStats): StorageStats =
    StorageStats(
      found.parts.asScala.map(part => StoragePart(part.name, part.rows, part.points, part.bytes)).toList,
      found.points,
      found.backlogBytes,
      found.databaseBytes,
      found.walBytes
    )

  def purgeResult(found: client.PurgeResult): PurgeResult = PurgeResult(found.runs, found.experiments)
}
