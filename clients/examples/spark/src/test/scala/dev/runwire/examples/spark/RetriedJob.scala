package dev.runwire.examples.spark

import dev.runwire.client.RunwireClient
import org.apache.spark.SparkConf
import org.apache.spark.SparkContext
import org.apache.spark.TaskContext

/** A job whose tasks fail in different ways when they are first tried, on executors that have an old protobuf
  * in front of all else. Arguments: the server, the run, the jar of the old protobuf.
  */
object RetriedJob {
  val Tasks = 4
  val Steps = 3500

  def main(arguments: Array[String]): Unit = {
    val Array(address, runId, oldProtobuf) = arguments
    val conf = new SparkConf().setAppName("retried").set("spark.executor.extraClassPath", oldProtobuf)
    val spark = new SparkContext(conf)
    val run = TaskRun(address, runId, spark.applicationId)
    val (attempts, classes) = spark
      .parallelize(0 until Tasks, Tasks)
      .map(task => (attempt(run, task), classesOf(run)))
      .collect()
      .unzip
    println(attempts.mkString("attempts ", " ", ""))
    println(classes.distinct.mkString("classes ", " and ", ""))
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

  /** Where the executor has its client from, what the client speaks gRPC with, and whose protobuf is beside
    * it.
    */
  private def classesOf(run: TaskRun): String = {
    val channel = Executor.client(run.address).underlying.channel.getClass.getPackage.getName
    val protobuf =
      Class.forName("com.google.protobuf.Message", true, Thread.currentThread.getContextClassLoader)
    s"${jarOf(classOf[RunwireClient])} $channel ${jarOf(protobuf)}"
  }

  private def jarOf(kind: Class[_]): String =
    kind.getProtectionDomain.getCodeSource.getLocation.getPath.split('/').last
}
