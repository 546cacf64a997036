package dev.runwire.conformance

import java.time.Instant

import com.google.gson.JsonArray
import com.google.gson.JsonElement
import com.google.gson.JsonNull
import com.google.gson.JsonObject
import dev.runwire.scaladsl._

/** Writes what the client gives as the JSON of the cases. */
private[conformance] object ScalaShapes {

  def record(members: (String, JsonElement)*): JsonObject = {
    val made = new JsonObject
    members.foreach { case (name, value) => made.add(name, value) }
    made
  }

  def text(value: String): JsonElement = new com.google.gson.JsonPrimitive(value)

  def flag(value: Boolean): JsonElement = new com.google.gson.JsonPrimitive(value)

  private def maybe[A](value: Option[A])(shape: A => JsonElement): JsonElement =
    value.fold[JsonElement](JsonNull.INSTANCE)(shape)

  private def time(value: Instant): JsonElement = Shapes.whole(value.toEpochMilli)

  def all[A](items: Iterable[A])(shape: A => JsonElement): JsonArray = {
    val made = new JsonArray
    items.foreach(item => made.add(shape(item)))
    made
  }

  def texts(values: Iterable[String]): JsonArray = all(values)(text)

  def pairs(values: Map[String, String]): JsonObject = record(
    values.map { case (key, value) => key -> text(value) }.toSeq: _*
  )

  def page[A](found: Page[A])(shape: A => JsonElement): JsonObject =
    record("items" -> all(found.items)(shape), "next_page_token" -> maybe(found.nextPageToken)(text))

  private def stage(found: LifecycleStage): JsonElement = found match {
    case LifecycleStage.Active => text("active")
    case LifecycleStage.Deleted => text("deleted")
    case LifecycleStage.Unknown => JsonNull.INSTANCE
  }

  def experiment(found: Experiment): JsonObject = record(
    "experiment_id" -> text(found.experimentId),
    "name" -> text(found.name),
    "lifecycle_stage" -> stage(found.lifecycleStage),
    "create_time" -> time(found.createTime),
    "update_time" -> time(found.updateTime),
    "tags" -> pairs(found.tags)
  )

  def run(found: Run): JsonObject = record(
    "run_id" -> text(found.runId),
    "experiment_id" -> text(found.experimentId),
    "name" -> text(found.name),
    "status" -> (if (found.status == RunStatus.Unknown) JsonNull.INSTANCE else text(found.status.toString)),
    "start_time" -> maybe(found.startTime)(time),
    "end_time" -> maybe(found.endTime)(time),
    "lifecycle_stage" -> stage(found.lifecycleStage),
    "parent_run_id" -> maybe(found.parentRunId)(text),
    "params" -> pairs(found.params),
    "tags" -> pairs(found.tags),
    "metrics" -> record(found.metrics.map { case (key, one) => key -> summary(one) }.toSeq: _*),
    "inputs" -> all(found.inputs)(input)
  )

  private def summary(found: MetricSummary): JsonElement = record(
    "value" -> Shapes.bits(found.value),
    "first" -> Shapes.bits(found.first),
    "min" -> maybe(found.min)(Shapes.bits),
    "max" -> maybe(found.max)(Shapes.bits),
    "step" -> Shapes.whole(found.step),
    "first_step" -> Shapes.whole(found.firstStep),
    "min_step" -> maybe(found.minStep)(Shapes.whole),
    "max_step" -> maybe(found.maxStep)(Shapes.whole),
    "timestamp" -> Shapes.whole(found.timestamp),
    "first_timestamp" -> Shapes.whole(found.firstTimestamp),
    "count" -> Shapes.whole(found.count),
    "nan_count" -> Shapes.whole(found.nanCount)
  )

  private def input(found: DatasetInput): JsonElement = record(
    "name" -> text(found.dataset.name),
    "digest" -> text(found.dataset.digest),
    "source_type" -> text(found.dataset.sourceType),
    "source" -> text(found.dataset.source),
    "schema" -> text(found.dataset.schema),
    "profile" -> text(found.dataset.profile),
    "context" -> text(found.context)
  )

  def series(found: MetricHistory): JsonObject = record(
    "run_id" -> text(found.runId),
    "key" -> text(found.key),
    "steps" -> Shapes.wholes(found.steps),
    "timestamps" -> Shapes.wholes(found.timestamps),
    "values" -> Shapes.doubles(found.values)
  )

  def curve(found: MetricCurve): JsonObject = record(
    "run_id" -> text(found.runId),
    "key" -> text(found.key),
    "axis" -> text(if (found.axis == CurveAxis.Time) "time" else "step"),
    "points" -> Shapes.whole(found.points),
    "first_x" -> Shapes.wholes(found.firstX),
    "last_x" -> Shapes.wholes(found.lastX),
    "min_x" -> Shapes.wholes(found.minX),
    "max_x" -> Shapes.wholes(found.maxX),
    "count" -> Shapes.wholes(found.count),
    "nan_count" -> Shapes.wholes(found.nanCount),
    "first" -> Shapes.doubles(found.first),
    "last" -> Shapes.doubles(found.last),
    "min" -> Shapes.doubles(found.min),
    "max" -> Shapes.doubles(found.max)
  )

  def serverInfo(found: ServerInfo): JsonObject = record(
    "version" -> text(found.version),
    "api_version" -> text(found.apiVersion),
    "database" -> text(found.database),
    "features" -> texts(found.features),
    "limits" -> record(found.limits.map { case (name, limit) => name -> Shapes.whole(limit) }.toSeq: _*)
  )

  def storageStats(found: StorageStats): JsonObject = record(
    "parts" -> all(found.parts)(part),
    "points" -> Shapes.whole(found.points),
    "backlog_bytes" -> Shapes.whole(found.backlogBytes),
    "database_bytes" -> Shapes.whole(found.databaseBytes),
    "wal_bytes" -> Shapes.whole(found.walBytes)
  )

  private def part(found: StoragePart): JsonElement = record(
    "name" -> text(found.name),
    "rows" -> Shapes.whole(found.rows),
    "points" -> Shapes.whole(found.points),
    "bytes" -> Shapes.whole(found.bytes)
  )
}
