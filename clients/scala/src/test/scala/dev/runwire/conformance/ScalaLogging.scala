package dev.runwire.conformance

import scala.jdk.CollectionConverters._

import com.google.gson.JsonElement
import com.google.gson.JsonNull
import dev.runwire.scaladsl._

/** The ops that log to a run. */
private[conformance] trait ScalaLogging extends ScalaGiven {
  type Op = Arguments => JsonElement

  protected def op(name: String)(body: (Client, Arguments) => JsonElement): (String, Op)

  protected def deed(name: String)(body: (Client, Arguments) => Unit): (String, Op)

  private def log(name: String)(body: (RunLogger, Arguments) => Unit): (String, Op) =
    deed(name)((client, args) => body(client.logger(args.text("run_id")), args))

  protected def logging: Map[String, Op] = Map(
    log("log_metric") { (run, args) =>
      val (key, value, step) = (args.text("key"), args.bits("value"), whole(args, "step").getOrElse(0L))
      whole(args, "timestamp") match {
        case Some(time) => run.logMetric(key, value, step, time)
        case None => run.logMetric(key, value, step)
      }
    },
    log("log_metrics") { (run, args) =>
      val step = whole(args, "step").getOrElse(0L)
      whole(args, "timestamp") match {
        case Some(time) => run.logMetrics(metrics(args, "metrics"), step, time)
        case None => run.logMetrics(metrics(args, "metrics"), step)
      }
    },
    log("log_series")(logSeries),
    log("log_batch")(logBatch),
    log("log_param")((run, args) => run.logParam(args.text("key"), args.text("value"))),
    log("log_params")((run, args) => run.logParams(pairs(args, "params"))),
    log("set_tag")((run, args) => run.setTag(args.text("key"), args.text("value"))),
    log("set_tags")((run, args) => run.setTags(pairs(args, "tags"))),
    log("delete_tag")((run, args) => run.deleteTag(args.text("key"))),
    log("log_inputs")(logInputs),
    log("log_many")(logMany),
    log("log_bulk")(logBulk),
    op("log_until_full")(logUntilFull)
  )

  /** Logs arrays of 1,000 points until one is refused. */
  private def logUntilFull(client: Client, args: Arguments): JsonElement = {
    val run = client.logger(args.text("run_id"))
    val most = found(args.integer("most")).fold(0)(_.intValue)
    var first = 0
    var error: JsonElement = JsonNull.INSTANCE
    try
      while (first < most) {
        val steps = Array.tabulate(1000)(i => first.toLong + i)
        run.logSeries(args.text("key"), steps.map(_.toDouble), steps)
        first += 1000
      }
    catch { case full: RunwireException => error = ScalaDriver.failure(full) }
    ScalaShapes.record("count" -> Shapes.whole(first.toLong), "error" -> error)
  }

  private def logBatch(run: RunLogger, args: Arguments): Unit = {
    val points = args.objects("metrics").asScala.toList.map { one =>
      Metric(
        one.text("key"),
        one.bits("value"),
        whole(one, "step").getOrElse(0L),
        whole(one, "timestamp")
      )
    }
    run.logBatch(points, pairs(args, "params"), pairs(args, "tags"))
  }

  private def logInputs(run: RunLogger, args: Arguments): Unit = {
    val inputs = args.objects("inputs").asScala.toList.map { one =>
      val described = Seq("source_type", "source", "schema", "profile").map(text(one, _))
      val Seq(kind, source, schema, profile) = described
      val dataset = Dataset(one.text("name"), one.text("digest"), kind, source, schema, profile)
      DatasetInput(dataset, text(one, "context"))
    }
    run.logInputs(inputs: _*)
  }

  private def logSeries(run: RunLogger, args: Arguments): Unit = {
    val values = args.doubles("values")
    val times =
      if (!args.has("timestamps")) Array.emptyLongArray
      else if (args.raw("timestamps").isJsonArray) args.wholes("timestamps")
      else Array.fill(values.length)(args.whole("timestamps").get.longValue)
    val steps = if (args.has("steps")) args.wholes("steps") else Array.emptyLongArray
    run.logSeries(args.text("key"), values, steps, times)
  }

  private def logMany(run: RunLogger, args: Arguments): Unit = {
    val first = whole(args, "first_step").getOrElse(0L)
    val count = found(args.integer("count")).fold(1)(_.intValue)
    val time = whole(args, "timestamp")
    def steps(key: String): Unit = {
      var step = first
      while (step < first + count) {
        run.logMetric(key, step.toDouble, step, time.getOrElse(System.currentTimeMillis))
        step += 1
      }
    }
    found(args.integer("threads")).fold(1)(_.intValue) match {
      case 1 => steps(args.text("key"))
      case many =>
        val threads = (0 until many).map(t => new Thread(() => steps(s"${args.text("key")}-$t")))
        threads.foreach(_.start())
        threads.foreach(_.join())
    }
  }

  private def logBulk(run: RunLogger, args: Arguments): Unit = {
    val count = found(args.integer("count")).fold(1)(_.intValue)
    val values = Array.tabulate(count)(_.toDouble)
    for (time <- 0 until found(args.integer("times")).fold(1)(_.intValue))
      run.logSeries(args.text("key"), values, Array.tabulate(count)(i => time.toLong * count + i))
  }
}
