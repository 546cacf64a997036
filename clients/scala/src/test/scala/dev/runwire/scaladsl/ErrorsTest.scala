package dev.runwire.scaladsl

import java.nio.file.Files
import java.nio.file.Paths

import scala.concurrent.duration._
import scala.jdk.CollectionConverters._

import com.google.gson.JsonElement
import com.google.gson.JsonObject
import com.google.gson.JsonParser
import com.google.protobuf
import com.google.rpc
import io.grpc.Status

/** The vectors of errors, as somebody meets them who catches in Scala. */
class ErrorsTest extends munit.FunSuite {
  override def munitTimeout: Duration = 600.seconds

  private val vectors = Paths.get("../../vectors")
  private var server: ScriptedServer = null
  private var client: Client = null

  override def beforeAll(): Unit = {
    server = new ScriptedServer
    val quick =
      Retry(initial = 1.milli, maximum = 1.milli, maxAttempts = Some(2), connectTimeout = 2.minutes)
    val spools = Files.createTempDirectory("runwire-scala")
    client = Runwire.connect(server.address, timeout = 2.minutes, retry = quick, spoolDir = Some(spools))
  }

  override def afterAll(): Unit = {
    Option(client).foreach(_.close())
    Option(server).foreach(_.close())
  }

  private def read(name: String): JsonElement =
    JsonParser.parseString(Files.readString(vectors.resolve(name)))

  private def texts(found: JsonObject): Map[String, String] =
    found.entrySet.asScala.map(one => one.getKey -> one.getValue.getAsString).toMap

  /** The name that the vectors have for what was thrown. */
  private def named(error: Throwable): String = error match {
    case _: AbortedException => "Aborted"
    case _: AlreadyExistsException => "AlreadyExists"
    case _: CancelledException => "Cancelled"
    case _: DataLossException => "DataLoss"
    case _: DeadlineExceededException => "DeadlineExceeded"
    case _: FailedPreconditionException => "FailedPrecondition"
    case _: InternalException => "InternalError"
    case _: InvalidArgumentException => "InvalidArgument"
    case _: NotFoundException => "NotFound"
    case _: OutOfRangeException => "OutOfRange"
    case _: PermissionDeniedException => "PermissionDenied"
    case _: ResourceExhaustedException => "ResourceExhausted"
    case _: ServerUnavailableException => "ServerUnavailable"
    case _: UnauthenticatedException => "Unauthenticated"
    case _: UnavailableException => "Unavailable"
    case _: UnimplementedException => "Unimplemented"
    case _: UnknownException => "UnknownError"
    case other => other.toString
  }

  private def thrown(code: String, trailer: Option[Array[Byte]]): RunwireException = {
    // A code that gRPC for Java does not know is UNKNOWN before it comes to the client.
    val known = Status.Code.values.find(_.name == code).getOrElse(Status.Code.UNKNOWN)
    server.failWith(known, trailer)
    intercept[RunwireException](client.getRun("0" * 32))
  }

  private def bytes(hex: String): Array[Byte] = hex.grouped(2).map(Integer.parseInt(_, 16).toByte).toArray

  read("statuses.json").getAsJsonArray.asScala.map(_.getAsJsonObject).foreach { told =>
    test(told.get("about").getAsString) {
      val trailer = Option(told.get("trailer")).filterNot(_.isJsonNull).map(hex => bytes(hex.getAsString))
      val error = thrown(told.get("code").getAsString, trailer)
      assertEquals(named(error), told.get("name").getAsString)
      error match {
        case Reason(reason, facts) =>
          assertEquals(reason, told.get("reason").getAsString)
          // The client adds where it was that nobody answered.
          assertEquals(facts - "address", texts(told.getAsJsonObject("metadata")))
      }
      val violations = told
        .getAsJsonArray("violations")
        .asScala
        .map { one =>
          (one.getAsJsonArray.get(0).getAsString, one.getAsJsonArray.get(1).getAsString)
        }
        .toList
      error match {
        case Violations(found) => assertEquals(found, violations)
        case _ =>
          assertEquals(error.violations.asScala.map(one => (one.field, one.description)).toList, violations)
      }
    }
  }

  private val reasons = read("errors.json").getAsJsonObject.getAsJsonObject("reasons")

  reasons.entrySet.asScala.foreach { entry =>
    val (reason, told) = (entry.getKey, entry.getValue.getAsJsonObject)
    test(s"$reason is ${told.get("name").getAsString}") {
      val retryable = told.get("retryable").getAsBoolean
      val metadata = texts(told.getAsJsonObject("metadata"))
      val info = rpc.ErrorInfo.newBuilder
        .setDomain("runwire")
        .setReason(reason)
        .putAllMetadata(metadata.asJava)
      val status = rpc.Status.newBuilder.addDetails(protobuf.Any.pack(info.build))
      if (retryable) {
        val delay = rpc.RetryInfo.newBuilder.setRetryDelay(protobuf.Duration.newBuilder.setNanos(1000000))
        status.addDetails(protobuf.Any.pack(delay.build))
      }
      val error = thrown(told.get("code").getAsString, Some(status.build.toByteArray))
      assertEquals(named(error), told.get("name").getAsString)
      error match {
        case Reason(found, facts) => assertEquals((found, facts), (reason, metadata))
      }
      assertEquals(server.calls, if (retryable) 2 else 1)
    }
  }

  test("a server sees that the client is Scala's") {
    thrown("NOT_FOUND", None)
    assert(server.userAgent.startsWith("runwire-scala/"), server.userAgent)
  }
}
