package dev.runwire.scaladsl

import java.time.Instant

import scala.concurrent.Await
import scala.concurrent.duration._
import scala.concurrent.ExecutionContext.Implicits.global
import scala.concurrent.Future
import scala.concurrent.Promise
import scala.util.control.ControlThrowable
import scala.util.Try

class ClientTest extends ServerSuite {

  test("a run that is lent is finished, and its body's result returned") {
    withClient { client =>
      val runId = client.run("first", experiment = "loans", params = Map("alpha" -> 0.1, "epochs" -> 3)) {
        run =>
          for (step <- 0 until 3) run.logMetric("loss", 1.0 / (step + 1), step)
          run.setTag("team", 'a')
          run.runId
      }
      val found = client.getRun(runId)
      assertEquals(found.status, RunStatus.Finished: RunStatus)
      assertEquals(found.name, "first")
      assertEquals(found.params, Map("alpha" -> "0.1", "epochs" -> "3"))
      assertEquals(found.tags.get("team"), Some("a"))
      assertEquals(found.metrics("loss").count, 3L)
      assertEquals(found.metrics("loss").min, Some(1.0 / 3))
      assertEquals(found.parentRunId, None)
      assert(found.endTime.exists(!_.isBefore(found.startTime.get)))
    }
  }

  test("a body that throws fails its run, and the exception is the caller's") {
    withClient { client =>
      var runId = ""
      val thrown = intercept[IllegalStateException] {
        client.run("failing") { run =>
          runId = run.runId
          run.logMetric("loss", 1)
          throw new IllegalStateException("boom")
        }
      }
      assertEquals(thrown.getMessage, "boom")
      assertEquals(client.getRun(runId).status, RunStatus.Failed: RunStatus)
    }
  }

  /** What leaves blocks: that of all Scalas, and that of Scala 3's `boundary` where it is there. */
  private def leaving: Seq[Throwable] = {
    val boundary = Try {
      val made =
        Class.forName("scala.util.boundary$Break").getDeclaredConstructors.head.newInstance(null, null)
      made.asInstanceOf[Throwable]
    }
    new ControlThrowable {} +: boundary.toOption.toList
  }

  test("leaving the body is no failure, an interrupt ends it as killed") {
    withClient { client =>
      var runId = ""
      for (way <- leaving) {
        val thrown =
          try
            client.run[Throwable]("left") { run =>
              runId = run.runId
              throw way
            }
          catch { case thrown: Throwable => thrown }
        assert(thrown eq way, thrown)
        assertEquals(client.getRun(runId).status, RunStatus.Finished: RunStatus)
      }
      try
        client.run[Unit]("interrupted") { run =>
          runId = run.runId
          throw new InterruptedException
        }
      catch { case _: InterruptedException => () }
      assertEquals(client.getRun(runId).status, RunStatus.Killed: RunStatus)
    }
  }

  test("a thread that is interrupted in a call ends its run as killed") {
    withClient { client =>
      val (started, thrown) = (Promise[String](), Promise[Throwable]())
      val work: Runnable = () =>
        try
          client.run[Unit]("interrupted") { run =>
            started.success(run.runId)
            while (true) client.getRun(run.runId)
          }
        catch { case error: Throwable => thrown.success(error); () }
      val calling = new Thread(work)
      calling.start()
      val runId = Await.result(started.future, 2.minutes)
      calling.interrupt()
      val error = Await.result(thrown.future, 2.minutes)
      assertEquals(error.getClass.getSimpleName, "CancelledException")
      assertEquals(client.getRun(runId).status, RunStatus.Killed: RunStatus)
    }
  }

  test("runs end with the futures that are made in them") {
    withClient { client =>
      val runs = for (i <- 1 to 4) yield client.runAsync(s"async-$i", experiment = "futures") { run =>
        Future {
          run.logMetric("i", i.toDouble)
          if (i == 4) throw new IllegalStateException("boom")
          run.runId
        }
      }
      val ended = runs.map(run => Await.ready(run, 2.minutes).value.get)
      assertEquals(ended.map(_.isSuccess), Seq(true, true, true, false))
      val Some(experiment) = client.getExperimentByName("futures"): @unchecked
      val found =
        client.runs(Seq(experiment.experimentId), orderBy = Seq("metrics.i ASC"), pageSize = 3).toList
      assertEquals(found.map(_.name), List("async-1", "async-2", "async-3", "async-4"))
      assertEquals(found.map(_.status.toString), List("FINISHED", "FINISHED", "FINISHED", "FAILED"))
    }
  }

  test("a run ends with a body that throws what futures do not catch") {
    withClient { client =>
      for (error <- Seq(new InterruptedException, new LinkageError)) {
        val started = Promise[String]()
        val ended = client.runAsync[Unit]("thrown") { run =>
          started.success(run.runId)
          throw error
        }
        val thrown = Await.result(ended.failed, 2.minutes)
        assert(thrown.getCause eq error, thrown)
        assertEquals(client.getRun(started.future.value.get.get).status, RunStatus.Failed: RunStatus)
      }
    }
  }

  test("calls as futures have the results and the errors of the blocking ones") {
    withClient { client =>
      def get[A](future: Future[A]): A = Await.result(future, 2.minutes)
      val id = get(client.async.createExperiment("async", Map("year" -> 2026)))
      assertEquals(get(client.async.getExperiment(id)), client.getExperiment(id))
      assertEquals(get(client.async.getExperimentByName("missing")), None)
      get(client.async.setExperimentTag(id, "month", 11))
      assertEquals(get(client.async.getOrCreateExperiment("async")).tags.get("month"), Some("11"))
      val run = get(client.async.createRun("r", experimentId = id, startTime = Some(Instant.ofEpochMilli(5))))
      client.logger(run.runId).logSeries("m", Array(1.0, 2.0))
      assertEquals(get(client.async.getMetricHistory(run.runId, "m")).values.toList, List(1.0, 2.0))
      assertEquals(get(client.async.getRun(run.runId)).startTime, Some(Instant.ofEpochMilli(5)))
      val missing = "0" * 32
      assertEquals(get(client.async.getRun(missing).failed).getClass.getSimpleName, "NotFoundException")
      assertEquals(get(client.async.serverInfo()).apiVersion, "v1")
      val none = Map("p" -> None)
      for (
        wrong <- Seq(client.async.createRun(params = none), client.runAsync(tags = none)(_ => Future.unit))
      )
        assertEquals(get(wrong.failed).getClass.getSimpleName, "IllegalArgumentException")
    }
  }

  test("errors are taken apart by reason and by fields") {
    withClient { client =>
      val missing = "0" * 32
      val said =
        try client.getRun(missing).name
        catch { case Reason("RUN_NOT_FOUND", facts) => facts("run_id") }
      assertEquals(said, missing)
      val Violations(fields) = intercept[InvalidArgumentException](client.createExperiment("")): @unchecked
      assertEquals(fields.map(_._1), Seq("name"))
      intercept[NotFoundException](client.getRun(missing))
      intercept[RunwireException](client.deleteRun(missing))
    }
  }

  test("points come back bit by bit") {
    withClient { client =>
      val odd = java.lang.Double.longBitsToDouble(0x7ff8000000000abcL)
      val values = Array(odd, Double.PositiveInfinity, -0.0, Double.MinPositiveValue)
      val runId = client.beginRun("bits", experimentId = "0")
      client.logger(runId).logSeries("m", values, Array(Long.MinValue, -1, 0, Long.MaxValue))
      val found = client.getMetricHistory(runId, "m")
      assertEquals(
        found.values.map(java.lang.Double.doubleToRawLongBits).toList,
        values.map(java.lang.Double.doubleToRawLongBits).toList
      )
      assertEquals(found.steps.toList, List(Long.MinValue, -1L, 0L, Long.MaxValue))
      assertEquals(found.points.map(_.step).toList, found.steps.toList)
      assertEquals(client.getMetricHistory(runId, "m", minStep = Some(0)).size, 2)
    }
  }

  test("a batch is all or nothing, and inputs come back as they were logged") {
    withClient { client =>
      val run = client.startRun("batch", tags = Map("a" -> 1))
      val points = Seq(Metric("m", 1, step = 1), Metric("m", 2, step = 2, timestamp = Some(7)))
      run.logBatch(points, params = Map("p" -> true), tags = Map("a" -> Some(2)))
      val dataset = Dataset("cars", "abc", sourceType = "file", source = "cars.csv")
      run.logInput(dataset, context = "training")
      run.deleteTag("a")
      run.finish()
      run.finish(RunStatus.Failed)
      val found = client.getRun(run.runId)
      assertEquals(found.status, RunStatus.Finished: RunStatus)
      assertEquals(found.params, Map("p" -> "true"))
      assertEquals(found.tags.get("a"), None)
      assertEquals(found.inputs, Seq(DatasetInput(dataset, "training")))
      assertEquals(client.getMetricHistory(run.runId, "m").timestamps.last, 7L)
      val curve = client.getMetricCurve(run.runId, "m", axis = CurveAxis.Step)
      assertEquals((curve.size, curve.points, curve.last.toList), (2, 2L, List(1.0, 2.0)))
    }
  }

  test("options are taken out, and what has no text is refused") {
    withClient { client =>
      val params = Map("some" -> Some(1), "deep" -> Some(Some("x")), "list" -> List(1, 2))
      val runId = client.run("texts", params = params) { run =>
        run.logParam("one", Some(0.5))
        run.setTag("tag", Option("t"))
        for (wrong <- Seq[Any](None, Some(None), Array(1, 2), Some(Array("a")))) {
          intercept[IllegalArgumentException](run.logParam("p", wrong))
          intercept[IllegalArgumentException](run.logParams(Map("p" -> wrong)))
          intercept[IllegalArgumentException](run.setTag("t", wrong))
          intercept[IllegalArgumentException](client.createRun(params = Map("p" -> wrong)))
          intercept[IllegalArgumentException](client.setExperimentTag("0", "t", wrong))
        }
        run.runId
      }
      val found = client.getRun(runId)
      val wanted = Map("some" -> "1", "deep" -> "x", "list" -> "List(1, 2)", "one" -> "0.5")
      assertEquals(found.params, wanted)
      assertEquals(found.tags.get("tag"), Some("t"))
    }
  }

  test("what is rejected is thrown where the run ends") {
    withClient { client =>
      val rejected = intercept[FailedPreconditionException] {
        client.run("rejected", params = Map("alpha" -> 1)) { run => run.logParam("alpha", 2) }
      }
      assertEquals(rejected.reason, "PARAM_IMMUTABLE")
    }
  }

  test("a watch gives new points, and ends when it is closed") {
    withClient { client =>
      val runId = client.createRun("watched").runId
      val watch = client.watchMetrics(Seq(runId), Seq("m"))
      assertEquals(watch.next().blocks, Nil)
      client.logger(runId).logMetric("m", 0.5, 3)
      val block = watch.next().blocks.head
      assertEquals((block.runId, block.steps.toList, block.values("m").toList), (runId, List(3L), List(0.5)))
      assert(watch.cursor.nonEmpty)
      watch.close()
      assert(!watch.hasNext)
    }
  }

  test("experiments are renamed, tagged, deleted and restored") {
    withClient { client =>
      val id = client.createExperiment("before", Map("x" -> 1))
      client.renameExperiment(id, "after")
      client.setExperimentTags(id, Map("y" -> "2"))
      client.deleteExperimentTag(id, "x")
      client.deleteExperiment(id)
      val deleted = client.searchExperiments("name = 'after'", view = LifecycleView.DeletedOnly)
      assertEquals(deleted.items.map(_.tags), Seq(Map("y" -> "2")))
      assertEquals(deleted.nextPageToken, None)
      client.restoreExperiment(id)
      assertEquals(client.getExperiment(id).lifecycleStage, LifecycleStage.Active: LifecycleStage)
      assertEquals(client.experiments("name LIKE 'aft%'").map(_.name).toList, List("after"))
    }
  }
}
