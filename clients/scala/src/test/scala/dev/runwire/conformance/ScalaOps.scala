package dev.runwire.conformance

import java.nio.file.Paths
import java.util.concurrent.ExecutionException

import scala.collection.mutable
import scala.concurrent.duration._
import scala.jdk.CollectionConverters._

import com.google.gson.JsonElement
import dev.runwire.scaladsl._

/** What the driver can be asked for, on the public API of the client. */
private[conformance] class ScalaOps(stay: JsonElement => Unit) extends ScalaLogging {
  private val clients = mutable.Map.empty[String, Client]
  private val watches = mutable.Map.empty[String, ScalaWatching]
  private val known: Map[String, Op] = life ++ experiments ++ runs ++ runsFound ++ logging ++ points ++ server

  def find(op: String): Option[Op] = known.get(op)

  private def plain(name: String)(body: Op): (String, Op) = name -> body

  protected def op(name: String)(body: (Client, Arguments) => JsonElement): (String, Op) =
    plain(name)(args => body(clients(args.optional("client").orElse("c")), args))

  protected def deed(name: String)(body: (Client, Arguments) => Unit): (String, Op) =
    op(name) { (client, args) =>
      body(client, args)
      null
    }

  private def life: Map[String, Op] = Map(
    plain("connect")(connect),
    deed("close")((client, args) =>
      seconds(args, "timeout").fold(client.close())(time => client.close(time))
    ),
    deed("flush")((client, args) =>
      seconds(args, "timeout").fold(client.flush())(time => client.flush(time))
    ),
    plain("exit") { args =>
      text(args, "how") match {
        case "hard" => Runtime.getRuntime.halt(0)
        case "exception" => throw new ScalaDriver.OwnException
        case _ => System.exit(0)
      }
      null
    },
    plain("sleep") { args =>
      seconds(args, "seconds").foreach(time => Thread.sleep(time.toMillis))
      null
    }
  )

  private def connect(args: Arguments): JsonElement = {
    val default = Retry()
    val retry = found(args.`object`("retry")).fold(default) { one =>
      Retry(
        seconds(one, "initial").getOrElse(default.initial),
        found(one.real("multiplier")).fold(default.multiplier)(_.doubleValue),
        seconds(one, "maximum").getOrElse(default.maximum),
        found(one.integer("max_attempts")).map(_.intValue),
        seconds(one, "connect_timeout").getOrElse(default.connectTimeout)
      )
    }
    val client = Runwire.connect(
      address = text(args, "address"),
      token = text(args, "token"),
      tlsCa = asked(args, "tls_ca").map(Paths.get(_)),
      timeout = seconds(args, "timeout").getOrElse(30.seconds),
      retry = retry,
      mode = asked(args, "mode").map(mode),
      spoolDir = asked(args, "spool_dir").map(Paths.get(_)),
      spoolBytes = found(args.real("spool_bytes")).fold(1L << 30)(_.longValue),
      onSpoolFull =
        if (asked(args, "on_spool_full").contains("error")) OnSpoolFull.Error else OnSpoolFull.Block,
      shutdownTimeout = seconds(args, "shutdown_timeout").getOrElse(60.seconds)
    )
    clients(args.optional("client").orElse("c")) = client
    ScalaShapes.record(
      "address" -> ScalaShapes.text(client.address),
      "mode" -> ScalaShapes.text(if (client.mode == Mode.Offline) "offline" else "online")
    )
  }

  private def items[A](all: Iterator[A], args: Arguments)(shape: A => JsonElement): JsonElement = {
    val some = found(args.integer("limit")).fold(all)(limit => all.take(limit))
    ScalaShapes.record("items" -> ScalaShapes.all(some.toList)(shape))
  }

  private def experiments: Map[String, Op] = Map(
    op("create_experiment") { (client, args) =>
      val made = client.createExperiment(args.text("name"), pairs(args, "tags"))
      ScalaShapes.record("experiment_id" -> ScalaShapes.text(made))
    },
    op("get_experiment") { (client, args) =>
      ScalaShapes.experiment(client.getExperiment(args.text("experiment_id")))
    },
    op("get_experiment_by_name") { (client, args) =>
      client.getExperimentByName(args.text("name")).map(ScalaShapes.experiment).orNull
    },
    op("search_experiments") { (client, args) =>
      val (filter, order, token) = (text(args, "filter"), texts(args, "order_by"), text(args, "page_token"))
      ScalaShapes.page(client.searchExperiments(filter, order, view(args), size(args), token))(
        ScalaShapes.experiment
      )
    },
    op("list_experiments") { (client, args) =>
      val found = client.experiments(text(args, "filter"), texts(args, "order_by"), view(args), size(args))
      items(found, args)(ScalaShapes.experiment)
    },
    deed("rename_experiment") { (client, args) =>
      client.renameExperiment(args.text("experiment_id"), args.text("name"))
    },
    deed("delete_experiment")((client, args) => client.deleteExperiment(args.text("experiment_id"))),
    deed("restore_experiment")((client, args) => client.restoreExperiment(args.text("experiment_id"))),
    deed("set_experiment_tag") { (client, args) =>
      client.setExperimentTag(args.text("experiment_id"), args.text("key"), args.text("value"))
    },
    deed("set_experiment_tags") { (client, args) =>
      client.setExperimentTags(args.text("experiment_id"), pairs(args, "tags"))
    },
    deed("delete_experiment_tag") { (client, args) =>
      client.deleteExperimentTag(args.text("experiment_id"), args.text("key"))
    }
  )

  private def runs: Map[String, Op] = Map(
    op("create_run") { (client, args) =>
      ScalaShapes.run(
        client.createRun(
          text(args, "name"),
          text(args, "experiment_name"),
          text(args, "experiment_id"),
          text(args, "run_id"),
          text(args, "parent_run_id"),
          found(args.time("start_time")),
          pairs(args, "params"),
          pairs(args, "tags"),
          status(args).getOrElse(RunStatus.Running),
          found(args.flag("allow_existing")).exists(_.booleanValue)
        )
      )
    },
    op("begin_run") { (client, args) =>
      val begun = client.beginRun(
        text(args, "name"),
        text(args, "experiment_name"),
        text(args, "experiment_id"),
        text(args, "run_id"),
        text(args, "parent_run_id"),
        found(args.time("start_time")),
        pairs(args, "params"),
        pairs(args, "tags")
      )
      ScalaShapes.record("run_id" -> ScalaShapes.text(begun))
    },
    op("update_run") { (client, args) =>
      ScalaShapes.run(client.updateRun(args.text("run_id"), status(args), asked(args, "name")))
    },
    op("finish_run") { (client, args) =>
      val ended = status(args).getOrElse(RunStatus.Finished)
      ScalaShapes.run(client.finishRun(args.text("run_id"), ended, found(args.time("end_time"))))
    },
    deed("delete_run")((client, args) => client.deleteRun(args.text("run_id"))),
    deed("restore_run")((client, args) => client.restoreRun(args.text("run_id"))),
    op("start_run")(startRun),
    op("with_run")(withRun),
    op("log_runs")(logRuns)
  )

  private def runsFound: Map[String, Op] = Map(
    op("get_run") { (client, args) =>
      val Seq(fields, metrics, params, tags) = mask(args)
      ScalaShapes.run(client.getRun(args.text("run_id"), fields, metrics, params, tags))
    },
    op("search_runs") { (client, args) =>
      val Seq(fields, metrics, params, tags) = mask(args)
      val (in, filter, order) = query(args)
      val token = text(args, "page_token")
      ScalaShapes.page(
        client.searchRuns(in, filter, order, view(args), size(args), token, fields, metrics, params, tags)
      )(ScalaShapes.run)
    },
    op("list_runs") { (client, args) =>
      val Seq(fields, metrics, params, tags) = mask(args)
      val (in, filter, order) = query(args)
      val all = client.runs(in, filter, order, view(args), size(args), fields, metrics, params, tags)
      items(all, args)(ScalaShapes.run)
    }
  )

  private def logged(run: ActiveRun, args: Arguments): JsonElement = {
    run.logParams(pairs(args, "params"))
    run.logMetrics(metrics(args, "metrics"))
    ScalaShapes.record("run_id" -> ScalaShapes.text(run.runId))
  }

  private def startRun(client: Client, args: Arguments): JsonElement = {
    val (name, experiment) = (text(args, "name"), text(args, "experiment_name"))
    logged(client.startRun(name, experiment, tags = pairs(args, "tags")), args)
  }

  private def withRun(client: Client, args: Arguments): JsonElement = {
    val (name, experiment) = (text(args, "name"), text(args, "experiment_name"))
    val fail = found(args.flag("fail")).exists(_.booleanValue)
    var started: JsonElement = null
    try
      client.run(name, experiment, tags = pairs(args, "tags")) { run =>
        started = logged(run, args)
        if (found(args.flag("stay")).exists(_.booleanValue)) stay(started)
        if (fail) throw new ScalaDriver.OwnException
      }
    catch { case _: ScalaDriver.OwnException if fail => () }
    started
  }

  private def logRuns(client: Client, args: Arguments): JsonElement = {
    val runIds = (0 until found(args.integer("count")).fold(1)(_.intValue)).map { i =>
      val name = s"${args.text("prefix")}-$i"
      val runId = client.beginRun(name, experimentId = args.text("experiment_id"))
      client.logger(runId).logMetric("m", i.toDouble)
      runId
    }
    runIds.foreach(client.endRun(_))
    client.flush()
    ScalaShapes.record("run_ids" -> ScalaShapes.texts(runIds))
  }

  private def points: Map[String, Op] = Map(
    op("get_metric_history") { (client, args) =>
      val (least, most) = (whole(args, "min_step"), whole(args, "max_step"))
      ScalaShapes.series(client.getMetricHistory(args.text("run_id"), args.text("key"), least, most))
    },
    op("get_metric_histories") { (client, args) =>
      val (runIds, keys) = (texts(args, "run_ids"), texts(args, "keys"))
      val all = client.getMetricHistories(runIds, keys, whole(args, "min_step"), whole(args, "max_step"))
      val series = runIds.flatMap { runId =>
        val of = all(runId)
        (if (keys.isEmpty) of.keys.toSeq.sorted else keys).flatMap(of.get)
      }
      ScalaShapes.record("series" -> ScalaShapes.all(series)(ScalaShapes.series))
    },
    op("get_metric_curve") { (client, args) =>
      ScalaShapes.curve(curves(client, args, Seq(args.text("run_id") -> args.text("key"))).head)
    },
    op("get_metric_curves") { (client, args) =>
      val series = args.objects("series").asScala.toList.map(one => one.text("run_id") -> one.text("key"))
      ScalaShapes.record("curves" -> ScalaShapes.all(curves(client, args, series))(ScalaShapes.curve))
    },
    op("heartbeat") { (client, args) =>
      ScalaShapes.record("run_ids" -> ScalaShapes.texts(client.heartbeat(texts(args, "run_ids"))))
    },
    op("watch_open") { (client, args) =>
      val start = found(args.flag("from_start")).exists(_.booleanValue)
      val (runIds, keys) = (texts(args, "run_ids"), texts(args, "keys"))
      val watch = new ScalaWatching(client.watchMetrics(runIds, keys, text(args, "cursor"), start))
      watches(args.text("watch")) = watch
      ScalaShapes.record("cursor" -> ScalaShapes.text(watch.cursor))
    },
    plain("watch_until") { args =>
      val (count, time) = (args.integer("points"), args.real("timeout"))
      watches(args.text("watch")).until(count.orElse(0), time.orElse(120.0))
    },
    plain("watch_close") { args =>
      watches(args.text("watch")).close()
      null
    }
  )

  private def curves(client: Client, args: Arguments, series: Seq[(String, String)]): Seq[MetricCurve] =
    client.getMetricCurves(
      series,
      found(args.integer("max_points")).fold(1000)(_.intValue),
      if (text(args, "axis") == "time") CurveAxis.Time else CurveAxis.Step,
      whole(args, "min_x"),
      whole(args, "max_x")
    )

  private def server: Map[String, Op] = Map(
    op("server_info")((client, _) => ScalaShapes.serverInfo(client.serverInfo())),
    op("storage_stats")((client, _) => ScalaShapes.storageStats(client.storageStats())),
    op("purge") { (client, args) =>
      val removed = client.purge(seconds(args, "older_than").getOrElse(Duration.Zero))
      ScalaShapes.record(
        "runs" -> Shapes.whole(removed.runs),
        "experiments" -> Shapes.whole(removed.experiments)
      )
    },
    op("raw") { (client, args) =>
      try RawCalls.send(client.underlying, args)
      catch {
        case failed: ExecutionException => throw dev.runwire.client.RunwireException.of(failed.getCause)
      }
    }
  )
}
