package dev.runwire.examples.spark

import scala.collection.concurrent.TrieMap
import scala.concurrent.duration._

import dev.runwire.scaladsl._
import org.apache.spark.SparkContext
import org.apache.spark.TaskContext

/** A run that the tasks of a Spark job log to: what travels to the executors.
  *
  * A task may be done more than once: it fails and is tried again, its executor is lost, a slow one gets a
  * rival. So tasks log as replayable writers, named by application, stage, partition, and whether it is the
  * first log of the task, the second ..., which are the same in each attempt. Whatever an attempt logs that
  * another has logged before is stored once. Data that is not cached is computed by each job that needs it,
  * in another stage, and so logged by each.
  *
  * @param address
  *   the server
  * @param runId
  *   the run
  * @param application
  *   the Spark application
  */
final case class TaskRun(address: String, runId: String, application: String) {

  /** Logs from within a task, on its own thread. All attempts at the task must log the same records in the
    * same order.
    *
    * @param body
    *   what to log; when it has ended, all of it is on the server's disk
    * @return
    *   what the body returns
    */
  def log[A](body: ReplayLogger => A): A = {
    val task = TaskContext.get()
    val name = Seq(task.stageId(), task.partitionId(), Executor.nextLog(task)).map(_.toString)
    Executor
      .client(address)
      .replayAttempt(task.taskAttemptId().toString, runId, application, name: _*)(body)
  }
}

/** Makes runs for tasks. */
object TaskRun {

  /** Connects, and waits longer for the first answer than a person would: Spark's processes all start at
    * once, and keep their machines busy.
    *
    * @param address
    *   the server; RUNWIRE_TRACKING_URI when empty
    */
  def connect(address: String = ""): Client =
    Runwire.connect(address, timeout = 2.minutes, retry = Retry(connectTimeout = 1.minute))

  /** Makes what to send to the tasks of a job.
    *
    * @param client
    *   the driver's client
    * @param run
    *   the run that they log to, which the driver ends
    * @param spark
    *   the application
    */
  def of(client: Client, run: RunLogger, spark: SparkContext): TaskRun = {
    // Tasks find the run on the server, and not in what the driver has yet to send.
    run.flush()
    TaskRun(client.address, run.runId, spark.applicationId)
  }
}

/** What an executor has once, however many tasks it runs: a client for each server, and how often each task
  * that runs has logged.
  */
private object Executor {
  private val clients = TrieMap.empty[String, Client]
  private val logs = TrieMap.empty[Long, Int]

  def nextLog(task: TaskContext): Int = {
    val attempt = task.taskAttemptId()
    val number = logs.getOrElse(attempt, 0)
    if (number == 0) task.addTaskCompletionListener[Unit](_ => logs -= attempt)
    logs(attempt) = number + 1
    number
  }

  def client(address: String): Client = synchronized {
    clients.getOrElseUpdate(address, TaskRun.connect(address))
  }
}
