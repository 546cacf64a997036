package dev.runwire.examples.spark

import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.Paths

import dev.runwire.scaladsl._
import org.apache.spark.SparkConf
import org.apache.spark.SparkContext
import org.apache.spark.TaskContext

/** A job whose two tasks do the same work at once, on two executors, as attempts at one task do. Arguments:
  * the server, the run, and a folder where they wait for each other.
  */
object RivalsJob {
  val Steps = 5500
  val Work = "the task"

  def main(arguments: Array[String]): Unit = {
    val Array(address, runId, folder) = arguments
    val spark = new SparkContext(new SparkConf().setAppName("rivals"))
    val application = spark.applicationId
    val executors = spark
      .parallelize(0 until 2, 2)
      .map { rival =>
        val client = Executor.client(address)
        client.replay(runId, application, Work) { log =>
          if (rival == 0) older(client, runId, log, Paths.get(folder))
          else newer(client, runId, log, Paths.get(folder))
        }
        org.apache.spark.SparkEnv.get.executorId
      }
      .collect()
    println(executors.sorted.mkString("executors ", " ", ""))
    println(s"application $application")
    spark.stop()
  }

  private def older(client: Client, runId: String, log: ReplayLogger, folder: Path): Unit = {
    work(log, 0 until 2500)
    waitForPoints(client, runId, 2000)
    Files.createFile(folder.resolve("half"))
    waitForFile(folder.resolve("over"))
    work(log, 2500 until Steps)
  }

  private def newer(client: Client, runId: String, log: ReplayLogger, folder: Path): Unit = {
    waitForFile(folder.resolve("half"))
    work(log, 0 until 4000)
    waitForPoints(client, runId, 4000)
    Files.createFile(folder.resolve("over"))
    work(log, 4000 until Steps)
  }

  private def work(log: ReplayLogger, steps: Range): Unit =
    steps.foreach(step => log.logMetric("m", step.toDouble, step))

  private def waitForPoints(client: Client, runId: String, points: Long): Unit = {
    val watch = client.watchMetrics(Seq(runId), Seq("m"), fromStart = true)
    try {
      var seen = 0L
      while (seen < points && !TaskContext.get().isInterrupted())
        seen += watch.next().blocks.map(_.steps.length.toLong).sum
    } finally watch.close()
  }

  private def waitForFile(path: Path): Unit =
    while (!Files.exists(path) && !TaskContext.get().isInterrupted()) Thread.sleep(20)
}
