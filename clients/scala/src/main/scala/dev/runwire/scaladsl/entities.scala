package dev.runwire.scaladsl

import java.time.Instant

import dev.runwire.client

/** An experiment: a named group of runs.
  *
  * @param experimentId
  *   decimal digits; "0" is Default
  * @param name
  *   its name, unique until it is purged
  * @param lifecycleStage
  *   whether it is deleted
  * @param createTime
  *   when it was created
  * @param updateTime
  *   when its name, tags or lifecycle last changed
  * @param tags
  *   its tags
  */
final case class Experiment(
    experimentId: String,
    name: String,
    lifecycleStage: LifecycleStage,
    createTime: Instant,
    updateTime: Instant,
    tags: Map[String, String]
)

/** A run: what it is, what it holds, what it reads. What was not asked for is empty.
  *
  * @param runId
  *   32 hex digits
  * @param experimentId
  *   the experiment that it belongs to
  * @param name
  *   its name, not unique
  * @param status
  *   what it is doing
  * @param startTime
  *   when it began
  * @param endTime
  *   when it ended; None until then
  * @param lifecycleStage
  *   whether it is deleted
  * @param parentRunId
  *   the run that it is a part of
  * @param params
  *   its params
  * @param tags
  *   its tags
  * @param metrics
  *   a summary of each of its metrics
  * @param inputs
  *   the data sets it reads, in the order they were logged
  */
final case class Run(
    runId: String,
    experimentId: String,
    name: String,
    status: RunStatus,
    startTime: Option[Instant],
    endTime: Option[Instant],
    lifecycleStage: LifecycleStage,
    parentRunId: Option[String],
    params: Map[String, String],
    tags: Map[String, String],
    metrics: Map[String, MetricSummary],
    inputs: Seq[DatasetInput]
)

/** What a run keeps of one metric. Latest and first are by (step, timestamp, arrival).
  *
  * @param key
  *   the metric
  * @param value
  *   the latest value
  * @param step
  *   the latest point's step
  * @param timestamp
  *   the latest point's time, unix ms
  * @param count
  *   how many points there are, NaN included
  * @param nanCount
  *   how many of them are NaN
  * @param min
  *   the smallest value; None when all are NaN
  * @param minStep
  *   the lowest step that has it
  * @param max
  *   the largest value; None when all are NaN
  * @param maxStep
  *   the lowest step that has it
  * @param first
  *   the first value
  * @param firstStep
  *   the first point's step
  * @param firstTimestamp
  *   the first point's time, unix ms
  */
final case class MetricSummary(
    key: String,
    value: Double,
    step: Long,
    timestamp: Long,
    count: Long,
    nanCount: Long,
    min: Option[Double],
    minStep: Option[Long],
    max: Option[Double],
    maxStep: Option[Long],
    first: Double,
    firstStep: Long,
    firstTimestamp: Long
)

/** A data set, described; its contents stay where they are.
  *
  * @param name
  *   1 to 500 characters
  * @param digest
  *   a fingerprint of the contents, 1 to 64 characters
  * @param sourceType
  *   the kind of source, such as `s3`
  * @param source
  *   where it comes from; the server never follows it
  * @param schema
  *   its columns and types, JSON by custom
  * @param profile
  *   statistics of it, JSON by custom
  */
final case class Dataset(
    name: String,
    digest: String,
    sourceType: String = "",
    source: String = "",
    schema: String = "",
    profile: String = ""
)

/** A data set in the role of a run's input.
  *
  * @param dataset
  *   the data set
  * @param context
  *   what the run uses it for, such as `training`
  */
final case class DatasetInput(dataset: Dataset, context: String = "")

/** A page of a search.
  *
  * @param items
  *   what the page holds
  * @param nextPageToken
  *   what to pass as `pageToken` to get the next page; None on the last
  */
final case class Page[+A](items: Seq[A], nextPageToken: Option[String])

/** One point of a metric.
  *
  * @param key
  *   the metric
  * @param value
  *   the value
  * @param step
  *   the step
  * @param timestamp
  *   when it was measured, unix ms; None where it is to be the time of the call
  */
final case class Metric(key: String, value: Double, step: Long = 0, timestamp: Option[Long] = None)

/** The points of one metric of one run, by (step, timestamp, arrival), column by column.
  *
  * `steps`, `timestamps` and `values` copy their columns: call them once, not in a loop over points, for
  * which there are `points`, `step`, `timestamp` and `value`. Histories of the same points are equal.
  */
final class MetricHistory private[scaladsl] (private val found: client.MetricHistory) {

  /** The run. */
  def runId: String = found.runId

  /** The metric. */
  def key: String = found.key

  /** The step of each point. */
  def steps: Array[Long] = found.steps

  /** The time of each point, unix ms. */
  def timestamps: Array[Long] = found.timestamps

  /** The value of each point, bit for bit what was logged. */
  def values: Array[Double] = found.values

  /** The step of a point, counted from 0. */
  def step(point: Int): Long = found.step(point)

  /** The time of a point, counted from 0; unix ms. */
  def timestamp(point: Int): Long = found.timestamp(point)

  /** The value of a point, counted from 0. */
  def value(point: Int): Double = found.value(point)

  /** How many points there are. */
  def size: Int = found.size

  /** The points one by one; for many points the columns are far cheaper. */
  def points: Iterator[Metric] =
    Iterator.range(0, size).map(i => Metric(key, value(i), step(i), Some(timestamp(i))))

  override def equals(other: Any): Boolean = other match {
    case that: MetricHistory => found == that.found
    case _ => false
  }

  override def hashCode: Int = found.hashCode

  override def toString: String = s"MetricHistory($runId, $key, $size points)"
}

/** A series in buckets, which hide no spike: entry i of each column belongs to bucket i, ascending by x.
  *
  * A series of few points has a bucket for each. NaN is counted, and can be first or last; minimum and
  * maximum are NaN only where a bucket has nothing else. Each call copies its column. Curves of the same
  * buckets are equal.
  */
final class MetricCurve private[scaladsl] (private val found: client.MetricCurve) {

  /** The run. */
  def runId: String = found.runId

  /** The metric. */
  def key: String = found.key

  /** What x is: steps, or times in unix ms. */
  def axis: CurveAxis = CurveAxis.of(found.axis)

  /** How many points of the series are in the range that was asked for. */
  def points: Long = found.points

  /** x of each bucket's first point. */
  def firstX: Array[Long] = found.firstX

  /** x of each bucket's last point. */
  def lastX: Array[Long] = found.lastX

  /** x of each bucket's lowest point. */
  def minX: Array[Long] = found.minX

  /** x of each bucket's highest point. */
  def maxX: Array[Long] = found.maxX

  /** The value of each bucket's first point. */
  def first: Array[Double] = found.first

  /** The value of each bucket's last point. */
  def last: Array[Double] = found.last

  /** Each bucket's lowest value. */
  def min: Array[Double] = found.min

  /** Each bucket's highest value. */
  def max: Array[Double] = found.max

  /** How many points each bucket stands for. */
  def count: Array[Long] = found.count

  /** How many of them are NaN. */
  def nanCount: Array[Long] = found.nanCount

  /** How many buckets there are. */
  def size: Int = found.size

  override def equals(other: Any): Boolean = other match {
    case that: MetricCurve => found == that.found
    case _ => false
  }

  override def hashCode: Int = found.hashCode

  override def toString: String = s"MetricCurve($runId, $key, $size buckets)"
}

/** Some new points of one run, in their order of arrival: each key has a value at each step. Each call copies
  * what it returns.
  */
final class NewPoints private[scaladsl] (private val found: client.NewPoints) {

  /** The run. */
  def runId: String = found.runId

  /** The step of each point. */
  def steps: Array[Long] = found.steps

  /** The time of each point, unix ms. */
  def timestamps: Array[Long] = found.timestamps

  /** For each key a column of as many values as there are steps. */
  def values: Map[String, Array[Double]] = Convert.map(found.values)

  override def equals(other: Any): Boolean = other match {
    case that: NewPoints => found == that.found
    case _ => false
  }

  override def hashCode: Int = found.hashCode

  override def toString: String = found.toString
}

/** What is new in watched runs.
  *
  * @param blocks
  *   new points, in their order of arrival within each run
  * @param cursor
  *   what a watch takes to continue behind this event
  * @param resyncRunIds
  *   runs of which points were skipped just before this event: read their histories
  */
final case class MetricEvent(blocks: Seq[NewPoints], cursor: String, resyncRunIds: Seq[String])

/** What a server is and allows.
  *
  * @param version
  *   the server's version
  * @param apiVersion
  *   the API's version
  * @param database
  *   the kind of database
  * @param features
  *   names of what it can do beyond the first release of the API
  * @param limits
  *   the limits in force, by the field names of `Limits` in `server.proto`
  */
final case class ServerInfo(
    version: String,
    apiVersion: String,
    database: String,
    features: Seq[String],
    limits: Map[String, Long]
)

/** How much a purge removed for good. */
final case class PurgeResult(runs: Long, experiments: Long)

/** What one part of the metric store holds.
  *
  * @param name
  *   `log`, `stripes`, `chunks`, `groups` or `summaries`
  * @param rows
  *   how many rows
  * @param points
  *   how many points; of `summaries` how many series, of `groups` how many keys
  * @param bytes
  *   bytes of its data
  */
final case class StoragePart(name: String, rows: Long, points: Long, bytes: Long)

/** What metric points take on a server's disk.
  *
  * @param parts
  *   the parts of the metric store
  * @param points
  *   all points of all runs, counted once each
  * @param backlogBytes
  *   bytes in the log that wait to be compacted
  * @param databaseBytes
  *   size of the database, with all else that is in it
  * @param walBytes
  *   size of SQLite's write-ahead log; 0 on PostgreSQL
  */
final case class StorageStats(
    parts: Seq[StoragePart],
    points: Long,
    backlogBytes: Long,
    databaseBytes: Long,
    walBytes: Long
)
