package dev.runwire.examples.spark

import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.Paths
import java.util.concurrent.TimeUnit

import scala.concurrent.duration._

import dev.runwire.client.ReplayableLogger
import dev.runwire.client.ServerProcess
import dev.runwire.scaladsl._
import dev.runwire.v1.AppendFramesRequest
import dev.runwire.v1.Hello
import dev.runwire.v1.MetricServiceGrpc

class SparkIT extends munit.FunSuite {
  override def munitTimeout: Duration = 900.seconds

  private val folder: Path = Files.createTempDirectory("runwire-spark")
  // Maven runs the tests in the folder of the Spark that they are for.
  private val version = Paths.get("").toAbsolutePath.getFileName.toString
  private val example = "target/runwire-example-spark.jar"
  private var server: ServerProcess = null
  private var client: Client = null

  override def beforeAll(): Unit = {
    server = new ServerProcess(folder.resolve("server")).start()
    // A slow machine may stand still for a while.
    client = Runwire.connect(
      s"runwire://${server.address}",
      timeout = 2.minutes,
      retry = Retry(connectTimeout = 2.minutes),
      spoolDir = Some(folder.resolve("spools"))
    )
  }

  override def afterAll(): Unit = {
    client.close()
    server.close()
  }

  /** A program of this example's folder, with the environment that Spark's processes hand on to executors. */
  private def program(name: String, arguments: Seq[String]): ProcessBuilder = {
    val builder = new ProcessBuilder((Seq(s"../$name", version) ++ arguments): _*)
    builder.environment.put("RUNWIRE_TRACKING_URI", client.address)
    builder.environment.put("RUNWIRE_SPOOL_DIR", folder.resolve("spools").toString)
    // A job is over before it pays to compile its code well.
    builder.environment.put("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
    builder
  }

  /** Submits a job, by default to a cluster of two executor processes, and returns what it printed. */
  private def submit(
      job: String,
      jars: Seq[String],
      arguments: Seq[String],
      master: Option[String]
  ): String = {
    val (said, log) =
      (Files.createTempFile(folder, "job", ".out"), Files.createTempFile(folder, "job", ".log"))
    val words = Seq(s"dev.runwire.examples.spark.$job", jars.mkString(",")) ++ arguments
    val builder = program("submit", words).redirectOutput(said.toFile).redirectError(log.toFile)
    master.foreach(builder.environment.put("MASTER", _))
    val process = builder.start()
    try assert(process.waitFor(800, TimeUnit.SECONDS), s"$job does not end:\n${Files.readString(log)}")
    finally process.destroy()
    assertEquals(process.exitValue(), 0, Files.readString(said) + Files.readString(log))
    Files.readString(said)
  }

  private def job(name: String, arguments: Seq[String], master: Option[String] = None): String =
    submit(name, Seq(example, "target/runwire-example-spark-tests.jar"), arguments, master)

  /** The line of what a job printed that begins with a word, without it. */
  private def line(said: String, word: String): String =
    said.linesIterator
      .collectFirst { case one if one.startsWith(s"$word ") => one.drop(word.length + 1) }
      .getOrElse(fail(s"no line of $word in:\n$said"))

  private def steps(runId: String, key: String): Seq[Long] = client.getMetricHistory(runId, key).steps.toSeq

  /** How many streams a work's writer has had, the one that asks included. */
  private def epoch(runId: String, work: String*): Long = {
    val writer = ReplayableLogger.writerId(runId, work: _*)
    val hello = Hello.newBuilder.setWriterId(writer).setReplayable(true)
    val stub = MetricServiceGrpc.newBlockingStub(client.underlying.channel)
    stub.appendFrames(AppendFramesRequest.newBuilder.setHello(hello).build).getWelcome.getEpoch
  }

  test("tasks that fail and are tried again double nothing, and leave an old protobuf alone") {
    val runId = client.createRun("retried").runId
    val crowd = Paths.get("target/crowd/old-protobuf.jar").toAbsolutePath.toString
    val said = job("RetriedJob", Seq(client.address, runId, crowd))
    assert(line(said, "attempts").matches("[1-9] [1-9] [1-9] \\d"), said)
    val shaded = "runwire-client-shaded-.*\\.jar dev\\.runwire\\.shaded\\.io\\.grpc\\..* old-protobuf\\.jar"
    assert(line(said, "classes").matches(shaded), said)
    for (task <- 0 until RetriedJob.Tasks) {
      assertEquals(steps(runId, s"m-$task"), (0L until RetriedJob.Steps.toLong).toSeq)
      assertEquals(steps(runId, s"again-$task"), Seq(0L))
    }
  }

  test("of two attempts at once the older is fenced, and the job is whole") {
    val runId = client.createRun("rivals").runId
    val cluster = new StandaloneCluster(program("spark", _).start(), folder.resolve("workers"))
    val said =
      try job("RivalsJob", Seq(client.address, runId), Some(cluster.address))
      finally cluster.close()
    assertEquals(steps(runId, "m"), (0L until RivalsJob.Steps.toLong).toSeq)
    val over = client.getMetricHistory(runId, "over")
    assertEquals((over.steps.toSet, over.values.toSet), (Set(0L, 1L), Set(0.0, 1.0)), "attempts, executors")
    // The older, the newer, the older again when it was told, and who asks: of the only stage's only partition.
    assert(epoch(runId, line(said, "application"), "0", "0", "0") >= 4, "nobody was fenced")
  }

  test("the example logs from all its tasks to one run") {
    val cars: Path = Paths.get("../../data/mtcars.csv").toAbsolutePath
    val said = submit("Bootstrap", Seq(example), Seq(cars.toString, "mpg", "wt"), None)
    assert(said.contains("mpg falls by 5."), said)
    val experiment = client.getExperimentByName("cars").get
    val Seq(run) = client.runs(Seq(experiment.experimentId)).toSeq: @unchecked
    assertEquals((run.name, run.status.toString), ("spark-bootstrap", "FINISHED"))
    assertEquals(run.metrics.keys.count(_.startsWith("task-")), 8)
    assert(run.metrics.filter(_._1.startsWith("task-")).values.forall(_.count == 2000L))
    assertEqualsDouble(run.metrics("r2").value, 0.7528, 0.0001)
  }
}
