package dev.runwire.examples.spark

import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.Paths

import scala.concurrent.duration._

import dev.runwire.client.ReplayableLogger
import dev.runwire.client.ServerProcess
import dev.runwire.scaladsl._
import dev.runwire.v1.AppendFramesRequest
import dev.runwire.v1.Hello
import dev.runwire.v1.MetricServiceGrpc

class SparkIT extends munit.FunSuite {
  override def munitTimeout: Duration = 300.seconds

  private val folder: Path = Files.createTempDirectory("runwire-spark")
  private val example = "target/runwire-example-spark-0.1.0.jar"
  private var server: ServerProcess = null
  private var client: Client = null

  override def beforeAll(): Unit = {
    server = new ServerProcess(folder.resolve("server")).start()
    client = Runwire.connect(s"runwire://${server.address}", spoolDir = Some(folder.resolve("spools")))
  }

  override def afterAll(): Unit = {
    client.close()
    server.close()
  }

  /** Submits a job to a cluster of two executor processes, and returns what it printed. */
  private def submit(job: String, jars: Seq[String], arguments: String*): String = {
    val log = Files.createTempFile("spark", ".log")
    val command = Seq("./submit", s"dev.runwire.examples.spark.$job", jars.mkString(",")) ++ arguments
    val builder = new ProcessBuilder(command: _*).redirectError(log.toFile)
    builder.environment.put("RUNWIRE_TRACKING_URI", client.address)
    builder.environment.put("RUNWIRE_SPOOL_DIR", folder.resolve("spools").toString)
    val process = builder.start()
    val said = scala.io.Source.fromInputStream(process.getInputStream, "UTF-8").mkString
    assertEquals(process.waitFor(), 0, said + Files.readString(log))
    said
  }

  private def job(name: String, arguments: String*): String =
    submit(name, Seq(example, "target/runwire-example-spark-0.1.0-tests.jar"), arguments: _*)

  private def steps(runId: String, key: String): Seq[Long] = client.getMetricHistory(runId, key).steps.toSeq

  /** How many streams a work's writer has had, the one that asks included. */
  private def epoch(runId: String, work: String*): Long = {
    val writer = ReplayableLogger.writerId(runId, work: _*)
    val hello = Hello.newBuilder.setWriterId(writer).setReplayable(true)
    val stub = MetricServiceGrpc.newBlockingStub(client.underlying.channel)
    stub.appendFrames(AppendFramesRequest.newBuilder.setHello(hello).build).getWelcome.getEpoch
  }

  test("tasks that fail and are tried again double nothing") {
    val runId = client.createRun("retried").runId
    val said = job("RetriedJob", client.address, runId)
    val Some(attempts) = said.linesIterator.find(_.startsWith("attempts ")): @unchecked
    assert(attempts.matches("attempts [1-9] [1-9] [1-9] \\d"), attempts)
    for (task <- 0 until RetriedJob.Tasks) {
      assertEquals(steps(runId, s"m-$task"), (0L until RetriedJob.Steps.toLong).toSeq)
      assertEquals(steps(runId, s"again-$task"), Seq(0L))
    }
  }

  test("of two attempts at once the older is fenced, and the job is whole") {
    val runId = client.createRun("rivals").runId
    val said = job("RivalsJob", client.address, runId, Files.createTempDirectory(folder, "rivals").toString)
    assert(said.linesIterator.contains("executors 0 1"), said)
    assertEquals(steps(runId, "m"), (0L until RivalsJob.Steps.toLong).toSeq)
    val Some(application) = said.linesIterator.find(_.startsWith("application ")): @unchecked
    // The older, the newer, the older again when it was told, and who asks.
    assert(epoch(runId, application.split(' ')(1), RivalsJob.Work) >= 4, "nobody was fenced")
  }

  test("the example logs from all its tasks to one run") {
    val cars: Path = Paths.get("../data/mtcars.csv").toAbsolutePath
    val said = submit("Bootstrap", Seq(example), cars.toString, "mpg", "wt")
    assert(said.contains("mpg falls by 5."), said)
    val experiment = client.getExperimentByName("cars").get
    val Seq(run) = client.runs(Seq(experiment.experimentId)).toSeq: @unchecked
    assertEquals((run.name, run.status.toString), ("spark-bootstrap", "FINISHED"))
    assertEquals(run.metrics.keys.count(_.startsWith("task-")), 8)
    assert(run.metrics.filter(_._1.startsWith("task-")).values.forall(_.count == 2000L))
    assertEqualsDouble(run.metrics("r2").value, 0.7528, 0.0001)
  }
}
