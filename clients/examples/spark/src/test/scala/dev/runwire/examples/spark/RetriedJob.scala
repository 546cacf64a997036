package dev.runwire.examples.spark

import org.apache.spark.SparkConf
import org.apache.spark.SparkContext
import org.apache.spark.TaskContext

/** A job whose tasks fail in different ways when they are first tried. Arguments: the server, the run. */
object RetriedJob {
  val Tasks = 4
  val Steps = 3500

  def main(arguments: Array[String]): Unit = {
    val Array(address, runId) = arguments
    val spark = new SparkContext(new SparkConf().setAppName("retried"))
    val run = TaskRun(address, runId, spark.applicationId)
    val attempts = spark.parallelize(0 until Tasks, Tasks).map(attempt(run, _)).collect()
    println(attempts.mkString("attempts ", " ", ""))
    spark.stop()
  }

  private def attempt(run: TaskRun, task: Int): Int = {
    val number = TaskContext.get().attemptNumber()
    run.log { log =>
      for (step <- 0 until Steps) {
        log.logMetric(s"m-$task", step.toDouble, step)
        if (number == 0 && step == 2600) failWithin(task)
      }
    }
    run.log(_.logMetric(s"again-$task", 1.0, 0))
    if (number == 0 && task == 1) throw new IllegalStateException("failed when all was logged")
    number
  }

  private def failWithin(task: Int): Unit = task match {
    case 0 => throw new IllegalStateException("failed in the middle")
    case 2 => Runtime.getRuntime.halt(1)
    case _ => ()
  }
}
