package dev.runwire.scaladsl

import java.util.concurrent.CountDownLatch

import scala.concurrent.Await
import scala.concurrent.duration._
import scala.concurrent.ExecutionContext.Implicits.global
import scala.concurrent.Future

import dev.runwire.client.ReplayableLogger
import dev.runwire.v1.AppendFramesRequest
import dev.runwire.v1.Hello
import dev.runwire.v1.MetricServiceGrpc

class ReplayTest extends ServerSuite {
  private val Steps = 5500

  private def work(log: ReplayLogger, steps: Range): Unit =
    steps.foreach { step =>
      log.logMetric("m", step.toDouble, step)
      if (step % 10 == 0) log.logMetrics(Map("a" -> 1.0, "b" -> step.toDouble), step)
    }

  private def assertWhole(client: Client, runId: String): Unit = {
    val found = client.getMetricHistories(Seq(runId))(runId)
    assertEquals(found("m").steps.toSeq, (0L until Steps.toLong).toSeq)
    assertEquals(found("m").values.toSeq, (0 until Steps).map(_.toDouble))
    assertEquals(found("b").steps.toSeq, (0L until Steps.toLong by 10).toSeq)
  }

  /** How many streams the work's writer has had, the one that asks included. */
  private def epoch(client: Client, runId: String, work: String*): Long = {
    val writer = ReplayableLogger.writerId(runId, work: _*)
    val hello = Hello.newBuilder.setWriterId(writer).setReplayable(true)
    val stub = MetricServiceGrpc.newBlockingStub(client.underlying.channel)
    stub.appendFrames(AppendFramesRequest.newBuilder.setHello(hello).build).getWelcome.getEpoch
  }

  test("work that fails after logging and is done again doubles nothing") {
    withClient { client =>
      val runId = client.createRun("retried").runId
      for (last <- Seq(0, 999, 1000, 3700, Steps))
        intercept[IllegalStateException] {
          client.replay(runId, "app", "1", "2") { log =>
            work(log, 0 until last)
            throw new IllegalStateException("the task failed")
          }
        }
      assertEquals(client.replay(runId, "app", "1", "2") { log => work(log, 0 until Steps); "done" }, "done")
      assertWhole(client, runId)
      val taken = intercept[IllegalStateException] {
        client.replay(runId, "app", "1", "2")(_.logMetric("lost", 1, 1))
      }
      assert(taken.getMessage.startsWith("app/1/2: "), taken.getMessage)
      client.replayAttempt("another", runId, "app", "1", "2")(work(_, 0 until Steps))
      assertWhole(client, runId)
      client.replay(runId, "app", "1", "2", "second")(_.logMetric("kept", 1, 1))
      assertEquals(client.getMetricHistory(runId, "kept").size, 1)
    }
  }

  test("of two attempts at once each fences the other, and the work is stored once") {
    withClient { first =>
      withClient { second =>
        val runId = first.createRun("rivals").runId
        val (half, over) = (new CountDownLatch(1), new CountDownLatch(1))
        val older = Future {
          first.replay(runId, "app") { log =>
            work(log, 0 until 2500)
            waitFor(first, runId, 1000)
            half.countDown()
            over.await()
            work(log, 2500 until Steps)
          }
        }
        half.await()
        second.replay(runId, "app") { log =>
          work(log, 0 until 4000)
          waitFor(second, runId, 3000)
          over.countDown()
          work(log, 4000 until Steps)
        }
        Await.result(older, 2.minutes)
        assertWhole(first, runId)
        // The older, the newer, the older again when it was told, and who asks.
        assert(epoch(first, runId, "app") >= 4, "nobody was fenced")
      }
    }
  }

  test("attempts that race are stored once, too") {
    withClient { first =>
      withClient { second =>
        val runId = first.createRun("race").runId
        val attempts = Seq(first -> "1", second -> "2", first -> "3").map { case (client, attempt) =>
          Future(client.replayAttempt(attempt, runId, "app")(work(_, 0 until Steps)))
        }
        attempts.foreach(Await.result(_, 2.minutes))
        assertWhole(first, runId)
      }
    }
  }

  test("all that a run logs can be replayed") {
    withClient { client =>
      val runId = client.createRun("whole").runId
      for (attempt <- Seq("first", "second"))
        client.replayAttempt(attempt, runId, "app") { log =>
          log.logSeries("s", Array(1.0, 2.0), Array(5L, 6L))
          log.logBatch(Seq(Metric("b", 1, 3)), Map("p" -> 1), Map("t" -> "u"))
          log.logParams(Map("q" -> 2))
          log.setTag("v", "w")
          log.logInput(Dataset("wine", "d1"), "training")
          log.flush()
          log.deleteTag("t")
        }
      val run = client.getRun(runId)
      assertEquals(run.params, Map("p" -> "1", "q" -> "2"))
      assertEquals(run.tags.get("v"), Some("w"))
      assertEquals(run.tags.get("t"), None)
      assertEquals(run.inputs.map(_.dataset.name), Seq("wine"))
      assertEquals(client.getMetricHistory(runId, "s").steps.toSeq, Seq(5L, 6L))
      assertEquals(run.metrics("b").count, 1L)
    }
  }

  test("what was rejected is told to each attempt") {
    withClient { client =>
      val runId = client.createRun("deleted").runId
      client.deleteRun(runId)
      for (_ <- 1 to 2) {
        val error = intercept[FailedPreconditionException] {
          client.replay(runId, "app")(_.logMetric("m", 1, 1))
        }
        assertEquals(error.reason, "RUN_DELETED")
      }
    }
  }

  private def waitFor(client: Client, runId: String, points: Long): Unit = {
    val watch = client.watchMetrics(Seq(runId), Seq("m"), fromStart = true)
    try {
      var seen = 0L
      while (seen < points) seen += watch.next().blocks.map(_.steps.length.toLong).sum
    } finally watch.close()
  }
}
