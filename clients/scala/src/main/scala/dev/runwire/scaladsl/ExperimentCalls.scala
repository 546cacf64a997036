package dev.runwire.scaladsl

import scala.jdk.CollectionConverters._

/** What a [[Client]] does with experiments. */
trait ExperimentCalls extends Facade {

  /** Creates an experiment.
    *
    * @param name
    *   1 to 500 characters, unique also among deleted experiments
    * @param tags
    *   its first tags; values are sent as text
    * @return
    *   the new experiment's id
    * @throws AlreadyExistsException
    *   the name is taken
    */
  def createExperiment(name: String, tags: Map[String, Any] = Map.empty): String =
    underlying.createExperiment(name, Convert.texts(tags))

  /** Returns one experiment, deleted or not.
    *
    * @throws NotFoundException
    *   there is none
    */
  def getExperiment(experimentId: String): Experiment =
    Convert.experiment(underlying.getExperiment(experimentId))

  /** Returns the experiment of a name, deleted or not; None if there is none. */
  def getExperimentByName(name: String): Option[Experiment] =
    Convert.option(underlying.getExperimentByName(name)).map(Convert.experiment)

  /** Returns the experiment of a name, which is created if there is none. */
  def getOrCreateExperiment(name: String): Experiment =
    Convert.experiment(underlying.getOrCreateExperiment(name))

  /** Returns a page of the experiments that match a filter.
    *
    * @param filter
    *   such as `name LIKE 'wine%'`; empty matches all
    * @param orderBy
    *   such as `name ASC`
    * @param view
    *   which lifecycle stages to look at
    * @param pageSize
    *   most experiments in the page, at most 1,000
    * @param pageToken
    *   token of the page before; empty for the first
    * @throws InvalidArgumentException
    *   the filter, order or token can not be read
    */
  def searchExperiments(
      filter: String = "",
      orderBy: Seq[String] = Nil,
      view: LifecycleView = LifecycleView.ActiveOnly,
      pageSize: Int = 1000,
      pageToken: String = ""
  ): Page[Experiment] = {
    val search = Specs.experiments(filter, orderBy, view, pageSize, pageToken)
    Convert.page(underlying.searchExperiments(search))(Convert.experiment)
  }

  /** Goes through all experiments that match a filter, page by page as they are needed; see
    * `searchExperiments`.
    */
  def experiments(
      filter: String = "",
      orderBy: Seq[String] = Nil,
      view: LifecycleView = LifecycleView.ActiveOnly,
      pageSize: Int = 1000
  ): Iterator[Experiment] = {
    val search = Specs.experiments(filter, orderBy, view, pageSize, "")
    underlying.listExperiments(search).iterator.asScala.map(Convert.experiment)
  }

  /** Renames an experiment.
    *
    * @throws AlreadyExistsException
    *   another experiment has the name
    * @throws FailedPreconditionException
    *   the experiment is deleted, or is Default
    * @throws NotFoundException
    *   there is none
    */
  def renameExperiment(experimentId: String, name: String): Unit =
    underlying.renameExperiment(experimentId, name)

  /** Deletes an experiment, and all its runs with it, until it is restored or purged.
    *
    * @throws NotFoundException
    *   there is none
    */
  def deleteExperiment(experimentId: String): Unit = underlying.deleteExperiment(experimentId)

  /** Takes the deletion of an experiment back.
    *
    * @throws NotFoundException
    *   there is none
    */
  def restoreExperiment(experimentId: String): Unit = underlying.restoreExperiment(experimentId)

  /** Sets one tag of an experiment, overwriting it; its value is sent as text. */
  def setExperimentTag(experimentId: String, key: String, value: Any): Unit =
    underlying.setExperimentTag(experimentId, key, Convert.value(key, value))

  /** Sets tags of an experiment, overwriting them: all or none; values are sent as text. */
  def setExperimentTags(experimentId: String, tags: Map[String, Any]): Unit =
    underlying.setExperimentTags(experimentId, Convert.texts(tags))

  /** Removes one tag of an experiment.
    *
    * @throws NotFoundException
    *   there is no such experiment or tag
    */
  def deleteExperimentTag(experimentId: String, key: String): Unit =
    underlying.deleteExperimentTag(experimentId, key)
}
