package dev.runwire.scaladsl

import java.time.Instant

import scala.concurrent.duration._
import scala.concurrent.Future
import scala.jdk.CollectionConverters._

import dev.runwire.client.AsyncRunwireClient

/** The calls of [[Client]] as futures, which fail with what the blocking ones throw, for wrong arguments too;
  * see there.
  *
  * Logging itself does not wait, so it has no futures: see `logger`.
  */
final class AsyncClient private[scaladsl] (underlying: AsyncRunwireClient) extends AutoCloseable {

  private def done(stage: => java.util.concurrent.CompletionStage[Void]): Future[Unit] =
    Convert.future(stage)(_ => ())

  /** Creates an experiment; see [[Client.createExperiment]]. */
  def createExperiment(name: String, tags: Map[String, Any] = Map.empty): Future[String] =
    Convert.future(underlying.createExperiment(name, Convert.texts(tags)))(identity)

  /** Returns one experiment; see [[Client.getExperiment]]. */
  def getExperiment(experimentId: String): Future[Experiment] =
    Convert.future(underlying.getExperiment(experimentId))(Convert.experiment)

  /** Returns the experiment of a name; see [[Client.getExperimentByName]]. */
  def getExperimentByName(name: String): Future[Option[Experiment]] =
    Convert.future(underlying.getExperimentByName(name))(Convert.option(_).map(Convert.experiment))

  /** Returns the experiment of a name, created if there is none; see [[Client.getOrCreateExperiment]]. */
  def getOrCreateExperiment(name: String): Future[Experiment] =
    Convert.future(underlying.getOrCreateExperiment(name))(Convert.experiment)

  /** Returns a page of experiments; see [[Client.searchExperiments]]. */
  def searchExperiments(
      filter: String = "",
      orderBy: Seq[String] = Nil,
      view: LifecycleView = LifecycleView.ActiveOnly,
      pageSize: Int = 1000,
      pageToken: String = ""
  ): Future[Page[Experiment]] = {
    def search = Specs.experiments(filter, orderBy, view, pageSize, pageToken)
    Convert.future(underlying.searchExperiments(search))(Convert.page(_)(Convert.experiment))
  }

  /** Renames an experiment; see [[Client.renameExperiment]]. */
  def renameExperiment(experimentId: String, name: String): Future[Unit] =
    done(underlying.renameExperiment(experimentId, name))

  /** Deletes an experiment; see [[Client.deleteExperiment]]. */
  def deleteExperiment(experimentId: String): Future[Unit] = done(underlying.deleteExperiment(experimentId))

  /** Takes the deletion of an experiment back; see [[Client.restoreExperiment]]. */
  def restoreExperiment(experimentId: String): Future[Unit] = done(underlying.restoreExperiment(experimentId))

  /** Sets one tag of an experiment; see [[Client.setExperimentTag]]. */
  def setExperimentTag(experimentId: String, key: String, value: Any): Future[Unit] =
    done(underlying.setExperimentTag(experimentId, key, Convert.value(key, value)))

  /** Sets tags of an experiment; see [[Client.setExperimentTags]]. */
  def setExperimentTags(experimentId: String, tags: Map[String, Any]): Future[Unit] =
    done(underlying.setExperimentTags(experimentId, Convert.texts(tags)))

  /** Removes one tag of an experiment; see [[Client.deleteExperimentTag]]. */
  def deleteExperimentTag(experimentId: String, key: String): Future[Unit] =
    done(underlying.deleteExperimentTag(experimentId, key))

  /** Starts a run; see [[Client.startRun]], and [[Client.runAsync]], which ends it too. */
  def startRun(
      name: String = "",
      experiment: String = "",
      experimentId: String = "",
      runId: String = "",
      parentRunId: String = "",
      startTime: Option[Instant] = None,
      params: Map[String, Any] = Map.empty,
      tags: Map[String, Any] = Map.empty
  ): Future[ActiveRun] = {
    def spec = Specs.run(name, experiment, experimentId, runId, parentRunId, startTime, params, tags)
    Convert.future(underlying.startRun(spec))(new ActiveRun(_))
  }

  /** Goes on with a run; see [[Client.resumeRun]]. */
  def resumeRun(runId: String): Future[ActiveRun] =
    Convert.future(underlying.resumeRun(runId))(new ActiveRun(_))

  /** Creates a run; see [[Client.createRun]]. */
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
  ): Future[Run] = {
    def spec = Specs.run(name, experiment, experimentId, runId, parentRunId, startTime, params, tags)
    Convert.future(underlying.createRun(spec.status(status.java).allowExisting(allowExisting)))(Convert.run)
  }

  /** Logs to a run; see [[Client.logger]]. */
  def logger(runId: String): RunLogger = new RunLogger(underlying.logger(runId))

  /** Ends a run, behind all that was logged to it; see [[Client.finishRun]]. */
  def finishRun(
      runId: String,
      status: RunStatus = RunStatus.Finished,
      endTime: Option[Instant] = None
  ): Future[Run] = Convert.future(underlying.finishRun(runId, status.java, endTime.orNull))(Convert.run)

  /** Returns one run; see [[Client.getRun]]. */
  def getRun(
      runId: String,
      fields: Seq[String] = Nil,
      metricKeys: Seq[String] = Nil,
      paramKeys: Seq[String] = Nil,
      tagKeys: Seq[String] = Nil
  ): Future[Run] =
    Convert.future(underlying.getRun(runId, Specs.mask(fields, metricKeys, paramKeys, tagKeys)))(Convert.run)

  /** Returns a page of runs; see [[Client.searchRuns]]. */
  def searchRuns(
      experimentIds: Seq[String],
      filter: String = "",
      orderBy: Seq[String] = Nil,
      view: LifecycleView = LifecycleView.ActiveOnly,
      pageSize: Int = 1000,
      pageToken: String = "",
      fields: Seq[String] = Nil,
      metricKeys: Seq[String] = Nil,
      paramKeys: Seq[String] = Nil,
      tagKeys: Seq[String] = Nil
  ): Future[Page[Run]] = {
    def mask = Specs.mask(fields, metricKeys, paramKeys, tagKeys)
    def search = Specs.runs(experimentIds, filter, orderBy, view, pageSize, pageToken, mask)
    Convert.future(underlying.searchRuns(search))(Convert.page(_)(Convert.run))
  }

  /** Changes a run's status or name; see [[Client.updateRun]]. */
  def updateRun(runId: String, status: Option[RunStatus] = None, name: Option[String] = None): Future[Run] =
    Convert.future(underlying.updateRun(runId, status.map(_.java).orNull, name.orNull))(Convert.run)

  /** Deletes a run; see [[Client.deleteRun]]. */
  def deleteRun(runId: String): Future[Unit] = done(underlying.deleteRun(runId))

  /** Takes the deletion of a run back; see [[Client.restoreRun]]. */
  def restoreRun(runId: String): Future[Unit] = done(underlying.restoreRun(runId))

  /** Returns the points of one metric of one run; see [[Client.getMetricHistory]]. */
  def getMetricHistory(
      runId: String,
      key: String,
      minStep: Option[Long] = None,
      maxStep: Option[Long] = None
  ): Future[MetricHistory] = Convert.future(
    underlying.getMetricHistory(runId, key, Specs.orNull(minStep), Specs.orNull(maxStep))
  )(new MetricHistory(_))

  /** Returns the points of several metrics of several runs; see [[Client.getMetricHistories]]. */
  def getMetricHistories(
      runIds: Seq[String],
      keys: Seq[String] = Nil,
      minStep: Option[Long] = None,
      maxStep: Option[Long] = None
  ): Future[Map[String, Map[String, MetricHistory]]] = Convert.future(
    underlying.getMetricHistories(runIds.asJava, keys.asJava, Specs.orNull(minStep), Specs.orNull(maxStep))
  )(Convert.histories)

  /** Returns a series in buckets; see [[Client.getMetricCurve]]. */
  def getMetricCurve(
      runId: String,
      key: String,
      maxPoints: Int = 1000,
      axis: CurveAxis = CurveAxis.Step,
      minX: Option[Long] = None,
      maxX: Option[Long] = None
  ): Future[MetricCurve] =
    Convert.future(underlying.getMetricCurve(runId, key, Specs.curve(maxPoints, axis, minX, maxX)))(
      new MetricCurve(_)
    )

  /** Returns curves; see [[Client.getMetricCurves]]. */
  def getMetricCurves(
      series: Seq[(String, String)],
      maxPoints: Int = 1000,
      axis: CurveAxis = CurveAxis.Step,
      minX: Option[Long] = None,
      maxX: Option[Long] = None
  ): Future[Seq[MetricCurve]] = Convert.future(
    underlying.getMetricCurves(Specs.series(series), Specs.curve(maxPoints, axis, minX, maxX))
  )(_.asScala.map(new MetricCurve(_)).toList)

  /** Says that runs are alive; see [[Client.heartbeat]]. */
  def heartbeat(runIds: Seq[String]): Future[Seq[String]] =
    Convert.future(underlying.heartbeat(runIds.asJava))(_.asScala.toList)

  /** Asks the server what it is and allows. */
  def serverInfo(): Future[ServerInfo] = Convert.future(underlying.serverInfo())(Convert.serverInfo)

  /** Counts what the metric points take on the server's disk, by part. */
  def storageStats(): Future[StorageStats] =
    Convert.future(underlying.storageStats())(Convert.storageStats)

  /** Removes for good what was deleted; see [[Client.purge]]. */
  def purge(olderThan: FiniteDuration = Duration.Zero): Future[PurgeResult] =
    Convert.future(underlying.purge(Convert.duration(olderThan)))(Convert.purgeResult)

  /** Waits until everything logged so far is on the server's disk; see [[Client.flush]]. */
  def flush(): Future[Unit] = done(underlying.flush())

  /** Closes the client; see [[Client.close]]. */
  def closeAsync(): Future[Unit] = done(underlying.closeAsync())

  /** Closes the client, and waits. */
  override def close(): Unit = underlying.close()
}
