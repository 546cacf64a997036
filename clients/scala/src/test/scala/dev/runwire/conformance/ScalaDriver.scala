package dev.runwire.conformance

import java.io.PrintStream
import java.nio.charset.StandardCharsets

import scala.io.Source

import com.google.gson.Gson
import com.google.gson.GsonBuilder
import com.google.gson.JsonArray
import com.google.gson.JsonElement
import com.google.gson.JsonNull
import com.google.gson.JsonObject
import com.google.gson.JsonParser
import dev.runwire.scaladsl._

/** The conformance driver of the Scala client; tests/conformance/README.md has its protocol. */
object ScalaDriver {
  private val Fault = 70
  private val gson: Gson = new GsonBuilder().disableHtmlEscaping().create()
  private val ops = new ScalaOps(stay)
  private val out = new PrintStream(System.out, false, StandardCharsets.UTF_8.name)
  private lazy val lines = Source.fromInputStream(System.in, "UTF-8").getLines()

  /** The request that is answered next, where one waits. */
  private var id: Option[JsonElement] = None

  /** What the driver throws by itself, where a case asks for it. */
  final class OwnException extends RuntimeException("asked for")

  def main(arguments: Array[String]): Unit = {
    System.setOut(System.err)
    val hello = new JsonObject
    hello.addProperty("driver", "scala")
    hello.addProperty("version", "0.1.0")
    hello.addProperty("pid", Long.box(ProcessHandle.current().pid()))
    say(hello)
    serve()
  }

  private def say(message: JsonObject): Unit = {
    out.print(gson.toJson(message) + "\n")
    out.flush()
  }

  /** Answers requests until there are no more, or one leaves the run: that one is answered next. */
  private def serve(): Unit = {
    id = None
    var left = false
    while (!left && lines.hasNext) {
      val request = JsonParser.parseString(lines.next()).getAsJsonObject
      id = Some(request.get("id"))
      left = request.get("op").getAsString == "leave_run"
      if (!left) {
        val answer = new JsonObject
        fill(request, answer)
        id.foreach { waiting =>
          answer.add("id", waiting)
          say(answer)
        }
        id = None
      }
    }
  }

  /** Answers requests within a run. */
  private def stay(started: JsonElement): Unit = {
    val answer = new JsonObject
    id.foreach(answer.add("id", _))
    answer.add("ok", started)
    say(answer)
    serve()
  }

  private def fill(request: JsonObject, answer: JsonObject): Unit = {
    val args = Option(request.get("args")).filterNot(_.isJsonNull).fold(new JsonObject)(_.getAsJsonObject)
    val op = request.get("op").getAsString
    ops.find(op) match {
      case None => answer.addProperty("unsupported", op)
      case Some(known) =>
        try answer.add("ok", Option(known(new Arguments(args))).getOrElse(JsonNull.INSTANCE))
        catch {
          case error: RunwireException => answer.add("error", failure(error))
          case error @ (_: IllegalArgumentException | _: IllegalStateException | _: NullPointerException) =>
            val wrong = new JsonObject
            wrong.addProperty("kind", "argument")
            wrong.addProperty("message", String.valueOf(error.getMessage))
            answer.add("error", wrong)
          case asked: OwnException => throw asked
          case fault: Exception =>
            fault.printStackTrace()
            Runtime.getRuntime.halt(Fault)
        }
    }
  }

  private[conformance] def failure(error: RunwireException): JsonObject = {
    val told = new JsonObject
    told.addProperty("kind", "runwire")
    told.addProperty("code", code(error))
    error match {
      case Reason(reason, metadata) =>
        told.addProperty("reason", reason)
        told.add("metadata", ScalaShapes.pairs(metadata))
      case _ => ()
    }
    val fields = new JsonArray
    error match {
      case Violations(found) => found.foreach { case (field, _) => fields.add(field) }
      case _ => ()
    }
    told.add("fields", fields)
    told.addProperty("message", error.getMessage)
    told
  }

  private def code(error: RunwireException): String = error match {
    case _: AbortedException => "ABORTED"
    case _: AlreadyExistsException => "ALREADY_EXISTS"
    case _: CancelledException => "CANCELLED"
    case _: DataLossException => "DATA_LOSS"
    case _: DeadlineExceededException => "DEADLINE_EXCEEDED"
    case _: FailedPreconditionException => "FAILED_PRECONDITION"
    case _: InternalException => "INTERNAL"
    case _: InvalidArgumentException => "INVALID_ARGUMENT"
    case _: NotFoundException => "NOT_FOUND"
    case _: OutOfRangeException => "OUT_OF_RANGE"
    case _: PermissionDeniedException => "PERMISSION_DENIED"
    case _: ResourceExhaustedException => "RESOURCE_EXHAUSTED"
    case _: UnauthenticatedException => "UNAUTHENTICATED"
    case _: UnavailableException => "UNAVAILABLE"
    case _: UnimplementedException => "UNIMPLEMENTED"
    case _ => "UNKNOWN"
  }
}
