package dev.runwire.scaladsl

import dev.runwire.client

/** What a run is doing. Its `toString` is the name that filters use, such as `FINISHED`. */
sealed abstract class RunStatus(private[scaladsl] val java: client.RunStatus)
    extends Product
    with Serializable {
  override def toString: String = java.name
}

/** All that a run may be doing. */
object RunStatus {

  /** It runs. */
  case object Running extends RunStatus(client.RunStatus.RUNNING)

  /** It waits for its turn. */
  case object Scheduled extends RunStatus(client.RunStatus.SCHEDULED)

  /** It ended well. */
  case object Finished extends RunStatus(client.RunStatus.FINISHED)

  /** It ended with an error. */
  case object Failed extends RunStatus(client.RunStatus.FAILED)

  /** It was ended from outside. */
  case object Killed extends RunStatus(client.RunStatus.KILLED)

  /** It sent heartbeats once, and was silent then. Never set by a caller. */
  case object Lost extends RunStatus(client.RunStatus.LOST)

  /** The server is newer than this client, or was not asked. */
  case object Unknown extends RunStatus(client.RunStatus.UNKNOWN)

  /** All of them. */
  val values: Seq[RunStatus] = Seq(Running, Scheduled, Finished, Failed, Killed, Lost, Unknown)

  /** Finds the status of a name, such as `FINISHED`.
    *
    * @throws IllegalArgumentException
    *   there is none
    */
  def withName(name: String): RunStatus = of(client.RunStatus.valueOf(name))

  private[scaladsl] def of(status: client.RunStatus): RunStatus =
    values.find(_.java == status).getOrElse(Unknown)
}

/** Whether a thing is deleted. */
sealed abstract class LifecycleStage(private[scaladsl] val java: client.LifecycleStage)
    extends Product
    with Serializable

/** All stages. */
object LifecycleStage {

  /** It is there. */
  case object Active extends LifecycleStage(client.LifecycleStage.ACTIVE)

  /** It is deleted, and can be restored. */
  case object Deleted extends LifecycleStage(client.LifecycleStage.DELETED)

  /** The server is newer than this client, or was not asked. */
  case object Unknown extends LifecycleStage(client.LifecycleStage.UNKNOWN)

  /** All of them. */
  val values: Seq[LifecycleStage] = Seq(Active, Deleted, Unknown)

  private[scaladsl] def of(stage: client.LifecycleStage): LifecycleStage =
    values.find(_.java == stage).getOrElse(Unknown)
}

/** Which stages a search looks at. */
sealed abstract class LifecycleView(private[scaladsl] val java: client.LifecycleView)
    extends Product
    with Serializable

/** All views. */
object LifecycleView {

  /** What is there. */
  case object ActiveOnly extends LifecycleView(client.LifecycleView.ACTIVE_ONLY)

  /** What is deleted. */
  case object DeletedOnly extends LifecycleView(client.LifecycleView.DELETED_ONLY)

  /** Both. */
  case object All extends LifecycleView(client.LifecycleView.ALL)
}

/** What the x axis of a curve shows. */
sealed abstract class CurveAxis(private[scaladsl] val java: client.CurveAxis)
    extends Product
    with Serializable

/** All axes. */
object CurveAxis {

  /** Steps. */
  case object Step extends CurveAxis(client.CurveAxis.STEP)

  /** Times, unix milliseconds. */
  case object Time extends CurveAxis(client.CurveAxis.TIME)

  private[scaladsl] def of(axis: client.CurveAxis): CurveAxis =
    if (axis == client.CurveAxis.TIME) Time else Step
}

/** Whether a client talks to a server. */
sealed abstract class Mode(private[scaladsl] val java: client.Mode) extends Product with Serializable

/** Both modes. */
object Mode {

  /** It does. */
  case object Online extends Mode(client.Mode.ONLINE)

  /** It spools what is logged, for `runwire sync` to deliver. */
  case object Offline extends Mode(client.Mode.OFFLINE)

  private[scaladsl] def of(mode: client.Mode): Mode = if (mode == client.Mode.OFFLINE) Offline else Online
}

/** What a call that logs does when the spool is full. */
sealed abstract class OnSpoolFull(private[scaladsl] val java: client.OnSpoolFull)
    extends Product
    with Serializable

/** Both answers to a full spool. */
object OnSpoolFull {

  /** It waits until there is room. */
  case object Block extends OnSpoolFull(client.OnSpoolFull.BLOCK)

  /** It throws `ResourceExhaustedException`. */
  case object Error extends OnSpoolFull(client.OnSpoolFull.ERROR)
}
