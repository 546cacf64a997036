package dev.runwire.conformance

import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit

import scala.collection.mutable

import com.google.gson.JsonArray
import com.google.gson.JsonObject
import dev.runwire.scaladsl._

/** A watch whose events can be waited for with a time limit. Made, it waits for the first event, which says
  * that the watch is in place.
  */
final private[conformance] class ScalaWatching(watch: MetricWatch) {
  private val events = new LinkedBlockingQueue[Either[RunwireException, MetricEvent]]
  private val kept = mutable.Buffer.empty[MetricEvent]
  private val thread = new Thread(() => read(), "watching")
  private var last = ""

  thread.setDaemon(true)
  thread.start()
  take(TimeUnit.SECONDS.toNanos(120))

  def cursor: String = last

  private def read(): Unit =
    try watch.foreach(event => events.add(Right(event)))
    catch { case error: RunwireException => events.add(Left(error)) }

  private def take(nanoseconds: Long): Boolean =
    Option(events.poll(math.max(nanoseconds, 1000000L), TimeUnit.NANOSECONDS)) match {
      case None => false
      case Some(Left(error)) => throw error
      case Some(Right(event)) =>
        kept += event
        last = event.cursor
        true
    }

  /** Gathers events until they hold that many points. */
  def until(points: Int, seconds: Double): JsonObject = {
    val deadline = System.nanoTime + (seconds * 1e9).toLong
    var timedOut = false
    while (count < points && !timedOut) timedOut = !take(deadline - System.nanoTime)
    val series = mutable.LinkedHashMap.empty[(String, String), JsonObject]
    for (event <- kept; block <- event.blocks; (key, values) <- block.values) {
      val one = series.getOrElseUpdate((block.runId, key), empty(block.runId, key))
      one.getAsJsonArray("steps").addAll(Shapes.wholes(block.steps))
      one.getAsJsonArray("timestamps").addAll(Shapes.wholes(block.timestamps))
      one.getAsJsonArray("values").addAll(Shapes.doubles(values))
    }
    val resync = kept.flatMap(_.resyncRunIds).distinct.sorted.toList
    kept.clear()
    ScalaShapes.record(
      "series" -> ScalaShapes.all(series.values)(identity),
      "cursor" -> ScalaShapes.text(last),
      "resync_run_ids" -> ScalaShapes.texts(resync),
      "timed_out" -> ScalaShapes.flag(timedOut)
    )
  }

  private def count: Int = kept.flatMap(_.blocks).map(block => block.steps.length * block.values.size).sum

  private def empty(runId: String, key: String): JsonObject = ScalaShapes.record(
    "run_id" -> ScalaShapes.text(runId),
    "key" -> ScalaShapes.text(key),
    "steps" -> new JsonArray,
    "timestamps" -> new JsonArray,
    "values" -> new JsonArray
  )

  def close(): Unit = {
    watch.close()
    thread.join(10000)
  }
}
