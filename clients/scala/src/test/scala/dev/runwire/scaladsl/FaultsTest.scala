package dev.runwire.scaladsl

import java.nio.file.Files

import scala.concurrent.duration._

import dev.runwire.client.ServerProcess

class FaultsTest extends munit.FunSuite {
  override def munitTimeout: Duration = 600.seconds

  private def withServer[A](body: ServerProcess => A): A = {
    val server = new ServerProcess(Files.createTempDirectory("runwire-scala")).start()
    try body(server)
    finally server.close()
  }

  private def connect(server: ServerProcess): Client =
    Runwire.connect(
      s"runwire://${server.address}",
      timeout = 2.minutes,
      retry = Retry(connectTimeout = 2.minutes),
      spoolDir = Some(Files.createTempDirectory("runwire-spool"))
    )

  test("a server that is killed in the middle of a run has each point once") {
    withServer { server =>
      val client = connect(server)
      val runId = client.run("survivor") { run =>
        for (step <- 0 until 30000) {
          run.logMetric("m", step.toDouble, step)
          if (step == 10000) run.flush()
          if (step == 15000) server.kill()
          if (step == 25000) server.start()
        }
        run.runId
      }
      assertEquals(client.getMetricHistory(runId, "m").steps.toSeq, (0L until 30000L).toSeq)
      client.close()
    }
  }

  test("without a server, calls give up and say so") {
    val client = Runwire.connect("runwire://127.0.0.1:1", retry = Retry(connectTimeout = 200.millis))
    val error = intercept[ServerUnavailableException](client.getExperiment("0"))
    assert(error.getMessage.contains("runwire://127.0.0.1:1"), error.getMessage)
    client.close()
  }

  test("what is logged offline is delivered by runwire sync") {
    withServer { server =>
      val spools = Files.createTempDirectory("runwire-offline")
      val client = Runwire.connect(mode = Some(Mode.Offline), spoolDir = Some(spools))
      val runId = client.run("offline", experiment = "later", params = Map("p" -> 1)) { run =>
        run.logSeries("m", Array.tabulate(1000)(_.toDouble))
        run.runId
      }
      intercept[FailedPreconditionException](client.getRun(runId))
      client.close()
      val address = s"runwire://${server.address}"
      val command = Seq(ServerProcess.command(), "-a", address, "sync", spools.toString)
      val sync = new ProcessBuilder(command: _*).redirectErrorStream(true).start()
      val said = scala.io.Source.fromInputStream(sync.getInputStream, "UTF-8").mkString
      assertEquals(sync.waitFor(), 0, said)
      val online = connect(server)
      val found = online.getRun(runId)
      assertEquals((found.status.toString, found.params), ("FINISHED", Map("p" -> "1")))
      assertEquals(found.metrics("m").count, 1000L)
      online.close()
    }
  }
}
