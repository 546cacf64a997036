package dev.runwire.scaladsl

import scala.jdk.CollectionConverters._

/** What a [[Client]] does with runs that are there: find, change, delete. */
trait RunCalls extends Facade {

  /** Returns one run, deleted or not.
    *
    * @param fields
    *   which fields of `Run` in `run.proto` to return; empty for all
    * @param metricKeys
    *   only these metrics; empty for all
    * @param paramKeys
    *   only these params; empty for all
    * @param tagKeys
    *   only these tags; empty for all
    * @throws NotFoundException
    *   there is none, or it was purged
    */
  def getRun(
      runId: String,
      fields: Seq[String] = Nil,
      metricKeys: Seq[String] = Nil,
      paramKeys: Seq[String] = Nil,
      tagKeys: Seq[String] = Nil
  ): Run = Convert.run(underlying.getRun(runId, Specs.mask(fields, metricKeys, paramKeys, tagKeys)))

  /** Returns a page of the runs of some experiments that match a filter.
    *
    * @param experimentIds
    *   1 to 100 experiments
    * @param filter
    *   such as `metrics.loss < 0.1 AND params.model = 'x'`; empty matches all
    * @param orderBy
    *   such as `metrics.loss ASC`; by default the newest come first
    * @param view
    *   which lifecycle stages to look at
    * @param pageSize
    *   most runs in the page, at most 1,000
    * @param pageToken
    *   token of the page before; empty for the first
    * @param fields
    *   which fields of `Run` in `run.proto` to return; empty for all
    * @param metricKeys
    *   only these metrics; empty for all
    * @param paramKeys
    *   only these params; empty for all
    * @param tagKeys
    *   only these tags; empty for all
    * @throws InvalidArgumentException
    *   the filter, order or token can not be read
    * @throws NotFoundException
    *   there is no such experiment
    */
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
  ): Page[Run] = {
    val mask = Specs.mask(fields, metricKeys, paramKeys, tagKeys)
    val search = Specs.runs(experimentIds, filter, orderBy, view, pageSize, pageToken, mask)
    Convert.page(underlying.searchRuns(search))(Convert.run)
  }

  /** Goes through all runs that match a filter, page by page as they are needed; see `searchRuns`. */
  def runs(
      experimentIds: Seq[String],
      filter: String = "",
      orderBy: Seq[String] = Nil,
      view: LifecycleView = LifecycleView.ActiveOnly,
      pageSize: Int = 1000,
      fields: Seq[String] = Nil,
      metricKeys: Seq[String] = Nil,
      paramKeys: Seq[String] = Nil,
      tagKeys: Seq[String] = Nil
  ): Iterator[Run] = {
    val mask = Specs.mask(fields, metricKeys, paramKeys, tagKeys)
    val search = Specs.runs(experimentIds, filter, orderBy, view, pageSize, "", mask)
    underlying.listRuns(search).iterator.asScala.map(Convert.run)
  }

  /** Changes a run's status or name.
    *
    * @param status
    *   the new status, Running and Scheduled clear the end time; None to keep it
    * @param name
    *   the new name; None to keep it
    * @return
    *   the run as it is now, without its data and inputs
    * @throws FailedPreconditionException
    *   the run or its experiment is deleted
    * @throws NotFoundException
    *   there is no such run
    */
  def updateRun(runId: String, status: Option[RunStatus] = None, name: Option[String] = None): Run =
    Convert.run(underlying.updateRun(runId, status.map(_.java).orNull, name.orNull))

  /** Deletes a run until it is restored or purged.
    *
    * @throws NotFoundException
    *   there is no such run
    */
  def deleteRun(runId: String): Unit = underlying.deleteRun(runId)

  /** Takes the deletion of a run back.
    *
    * @throws NotFoundException
    *   there is no such run
    */
  def restoreRun(runId: String): Unit = underlying.restoreRun(runId)
}
