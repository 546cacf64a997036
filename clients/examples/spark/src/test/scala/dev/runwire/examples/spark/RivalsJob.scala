package dev.runwire.examples.spark

import dev.runwire.scaladsl._
import org.apache.spark.SparkConf
import org.apache.spark.SparkContext
import org.apache.spark.SparkEnv
import org.apache.spark.TaskContext

/** A job whose one task waits for points that only a second attempt at it logs, which Spark starts because
  * the first is slow. Arguments: the server, the run.
  */
object RivalsJob {
  val Steps = 5500

  def main(arguments: Array[String]): Unit = {
    val Array(address, runId) = arguments
    val conf = new SparkConf()
      .setAppName("rivals")
      .set("spark.speculation", "true")
      .set("spark.speculation.interval", "100ms")
      .set("spark.speculation.task.duration.threshold", "100ms")
      // Neither attempt may hide that the other failed.
      .set("spark.task.maxFailures", "1")
    val spark = new SparkContext(conf)
    val run = TaskRun(address, runId, spark.applicationId)
    spark.parallelize(Seq(0), 1).foreach(_ => attempt(run))
    println(s"application ${run.application}")
    spark.stop()
  }

  private def attempt(run: TaskRun): Unit = {
    val client = Executor.client(run.address)
    val number = TaskContext.get().attemptNumber()
    run.log { log =>
      if (number == 0) {
        work(log, 0 until 2500)
        waitForPoints(client, run.runId, "m", 4000)
        work(log, 2500 until Steps)
      } else {
        waitForPoints(client, run.runId, "m", 2000)
        work(log, 0 until 4000)
        waitForPoints(client, run.runId, "m", 4000)
        work(log, 4000 until Steps)
      }
    }
    // Spark kills the one as soon as the other is over: both are to have logged all before.
    client.logger(run.runId).logMetric("over", SparkEnv.get.executorId.toDouble, number)
    waitForPoints(client, run.runId, "over", 2)
  }

  private def work(log: ReplayLogger, steps: Range): Unit =
    steps.foreach(step => log.logMetric("m", step.toDouble, step))

  private def waitForPoints(client: Client, runId: String, key: String, points: Long): Unit = {
    val watch = client.watchMetrics(Seq(runId), Seq(key), fromStart = true)
    try {
      var seen = 0L
      while (seen < points) seen += watch.next().blocks.map(_.steps.length.toLong).sum
    } finally watch.close()
  }
}
