package dev.runwire.scaladsl

import java.time.Instant

import scala.concurrent.ExecutionContext
import scala.concurrent.Future
import scala.util.control.ControlThrowable
import scala.util.control.NonFatal

/** How a [[Client]] begins and ends runs. */
trait RunLife extends Facade {

  /** Does something in a new run, which is FINISHED then; FAILED if that throws, and KILLED if the thread was
    * interrupted.
    *
    * {{{
    * val loss = client.run("first", params = Map("alpha" -> 0.1)) { run =>
    *   run.logMetric("loss", 0.25, step = 1)
    *   0.25
    * }
    * }}}
    *
    * @param name
    *   the run's name; empty for a readable one that is made up
    * @param experiment
    *   name of its experiment, which is created if there is none; empty for its parent's, else the client's
    * @param experimentId
    *   id of its experiment, instead of the name
    * @param runId
    *   its id, 32 lower-case hex digits; empty for a new one
    * @param parentRunId
    *   the run of the same experiment that it is a part of
    * @param params
    *   its first params; values are sent as text
    * @param tags
    *   its first tags; values are sent as text
    * @param body
    *   what to do
    * @return
    *   what the body returns
    * @throws RunwireException
    *   the run can not be created, or something is not delivered or was rejected
    */
  def run[A](
      name: String = "",
      experiment: String = "",
      experimentId: String = "",
      runId: String = "",
      parentRunId: String = "",
      params: Map[String, Any] = Map.empty,
      tags: Map[String, Any] = Map.empty
  )(body: ActiveRun => A): A =
    Loan.run(startRun(name, experiment, experimentId, runId, parentRunId, params = params, tags = tags))(body)

  /** Does something in a new run as `run` does, which ends when the future does.
    *
    * @param body
    *   what to do; the run is FINISHED when its future succeeds, and FAILED when that or the body fails
    * @param executor
    *   where the run is started and ended
    * @return
    *   what the body's future becomes, once all that was logged is delivered
    */
  def runAsync[A](
      name: String = "",
      experiment: String = "",
      experimentId: String = "",
      runId: String = "",
      parentRunId: String = "",
      params: Map[String, Any] = Map.empty,
      tags: Map[String, Any] = Map.empty
  )(body: ActiveRun => Future[A])(implicit executor: ExecutionContext): Future[A] =
    new AsyncClient(underlying.async)
      .startRun(name, experiment, experimentId, runId, parentRunId, params = params, tags = tags)
      .flatMap(run => Loan.runAsync(run)(body))

  /** Starts a run, to be ended by who calls its `finish`. See `run`, which does so by itself.
    *
    * The first run that is started without an id goes on with the run RUNWIRE_RUN_ID where the environment
    * names one.
    *
    * @param startTime
    *   when it began; None for now
    */
  def startRun(
      name: String = "",
      experiment: String = "",
      experimentId: String = "",
      runId: String = "",
      parentRunId: String = "",
      startTime: Option[Instant] = None,
      params: Map[String, Any] = Map.empty,
      tags: Map[String, Any] = Map.empty
  ): ActiveRun = new ActiveRun(
    underlying.startRun(
      Specs.run(name, experiment, experimentId, runId, parentRunId, startTime, params, tags)
    )
  )

  /** Goes on with a run, which is RUNNING again, to be ended by who calls its `finish`.
    *
    * @throws FailedPreconditionException
    *   the run is deleted or purged
    * @throws NotFoundException
    *   there is no such run
    */
  def resumeRun(runId: String): ActiveRun = new ActiveRun(underlying.resumeRun(runId))

  /** Creates a run, with its first params and tags, in one step, and leaves it to others to end it.
    *
    * @param startTime
    *   when it began; None for now
    * @param status
    *   Running or Scheduled
    * @param allowExisting
    *   return the run if the id exists, whatever it was created with
    * @throws AlreadyExistsException
    *   the id belongs to a run that was created with other content
    * @throws FailedPreconditionException
    *   the experiment is deleted, the parent is not one, or the id was purged
    * @throws NotFoundException
    *   there is no such experiment
    */
  def createRun(
      name: String = "",
      experiment: String = "",
      experimentId: String = "",
      runId: String = "",
      parentRunId: String = "",
      startTime: Option[Instant] = None,
      params: Map[String, Any] = Map.empty,
      tags: Map[String, Any] = Map.empty,
      status: RunStatus = RunStatus.Running,
      allowExisting: Boolean = false
  ): Run = Convert.run(
    underlying.createRun(
      Specs
        .run(name, experiment, experimentId, runId, parentRunId, startTime, params, tags)
        .status(status.java)
        .allowExisting(allowExisting)
    )
  )

  /** Begins a run without waiting for the server, as a point is logged; also offline.
    *
    * What can not be (the experiment is deleted, the id was purged ...) is thrown by the next flush.
    * Heartbeats are sent for the run until it is finished or the client closed.
    *
    * @return
    *   the run's id
    * @throws IllegalArgumentException
    *   not exactly one of name and id of the experiment is given
    */
  def beginRun(
      name: String = "",
      experiment: String = "",
      experimentId: String = "",
      runId: String = "",
      parentRunId: String = "",
      startTime: Option[Instant] = None,
      params: Map[String, Any] = Map.empty,
      tags: Map[String, Any] = Map.empty
  ): String = underlying.beginRun(
    Specs.run(name, experiment, experimentId, runId, parentRunId, startTime, params, tags)
  )

  /** Sends heartbeats for a run every 30 seconds, until it is finished or the client closed. */
  def keepAlive(runId: String): Unit = underlying.keepAlive(runId)

  /** Ends a run, behind all that was logged to it, and waits until that is delivered.
    *
    * @param status
    *   Finished, Failed or Killed
    * @param endTime
    *   when it ended; None for now
    * @return
    *   the run as it is now, without its data and inputs; offline, what is known of it here
    * @throws RunwireException
    *   something is not delivered, or was rejected
    */
  def finishRun(runId: String, status: RunStatus = RunStatus.Finished, endTime: Option[Instant] = None): Run =
    Convert.run(underlying.finishRun(runId, status.java, endTime.orNull))

  /** Ends a run without waiting for the server.
    *
    * @param status
    *   Finished, Failed or Killed
    */
  def endRun(runId: String, status: RunStatus = RunStatus.Finished): Unit =
    underlying.endRun(runId, status.java)
}

/** Lends runs to what is done in them. */
private object Loan {

  def run[A](run: ActiveRun)(body: ActiveRun => A): A = {
    val result =
      try body(run)
      catch {
        case leaving: Throwable if isLeaving(leaving) =>
          // A return from within the body, not a failure.
          run.finish()
          throw leaving
        case error: Throwable =>
          // A call that is interrupted throws what calls throw, and leaves the thread interrupted.
          val killed = error.isInstanceOf[InterruptedException] || Thread.currentThread.isInterrupted
          throw ended(run, if (killed) RunStatus.Killed else RunStatus.Failed, error)
      }
    run.finish()
    result
  }

  /** Whether somebody goes on behind a block that the body is in: also by Scala 3's `boundary`, whose class
    * the other Scalas do not have, and which says so by its name only.
    */
  private def isLeaving(thrown: Throwable): Boolean =
    thrown.isInstanceOf[ControlThrowable] || thrown.getClass.getName == "scala.util.boundary$Break"

  def runAsync[A](
      run: ActiveRun
  )(body: ActiveRun => Future[A])(implicit executor: ExecutionContext): Future[A] = {
    val done =
      try body(run)
      // Also what futures do not catch by themselves: nobody else would end the run.
      catch { case error: Throwable => Future.failed[A](error) }
    done.transform(
      { result =>
        scala.concurrent.blocking(run.finish())
        result
      },
      error => scala.concurrent.blocking(ended(run, RunStatus.Failed, error))
    )
  }

  /** Ends a run while an exception is on its way, which nothing else may replace. */
  private def ended(run: ActiveRun, status: RunStatus, error: Throwable): Throwable = {
    try run.finish(status)
    catch { case NonFatal(failed) => error.addSuppressed(failed) }
    error
  }
}
