package dev.runwire.conformance

import java.util.Optional

import scala.collection.immutable.ListMap
import scala.concurrent.duration._
import scala.jdk.CollectionConverters._

import dev.runwire.scaladsl._

/** Reads what an op is to do with, as the client takes it. */
private[conformance] trait ScalaGiven {
  protected def found[A](value: Optional[A]): Option[A] = if (value.isPresent) Some(value.get) else None

  protected def asked(args: Arguments, name: String): Option[String] = found(args.optional(name))

  protected def text(args: Arguments, name: String): String = asked(args, name).getOrElse("")

  protected def whole(args: Arguments, name: String): Option[Long] = found(args.whole(name)).map(_.longValue)

  protected def seconds(args: Arguments, name: String): Option[FiniteDuration] =
    found(args.seconds(name)).map(_.toNanos.nanos)

  protected def texts(args: Arguments, name: String): Seq[String] = args.texts(name).asScala.toList

  protected def pairs(args: Arguments, name: String): Map[String, Any] =
    ListMap(args.pairs(name).asScala.toSeq: _*)

  protected def metrics(args: Arguments, name: String): Map[String, Double] =
    ListMap(args.metrics(name).asScala.toSeq.map { case (key, value) => key -> value.doubleValue }: _*)

  protected def mode(name: String): Mode = name match {
    case "online" => Mode.Online
    case "offline" => Mode.Offline
    case other => throw new IllegalArgumentException(s"there is no mode $other")
  }

  protected def view(args: Arguments): LifecycleView = text(args, "view") match {
    case "deleted" => LifecycleView.DeletedOnly
    case "all" => LifecycleView.All
    case _ => LifecycleView.ActiveOnly
  }

  protected def size(args: Arguments): Int = found(args.integer("page_size")).fold(1000)(_.intValue)

  protected def status(args: Arguments): Option[RunStatus] = asked(args, "status").map(RunStatus.withName)

  protected def mask(args: Arguments): Seq[Seq[String]] =
    Seq("fields", "metric_keys", "param_keys", "tag_keys").map(texts(args, _))

  protected def query(args: Arguments): (Seq[String], String, Seq[String]) =
    (texts(args, "experiment_ids"), text(args, "filter"), texts(args, "order_by"))
}
