package dev.runwire.scaladsl

import java.util.concurrent.atomic.AtomicReference
import java.util.concurrent.atomic.AtomicInteger

import dev.runwire.v1.RunServiceGrpc
import io.grpc.Grpc
import io.grpc.InsecureServerCredentials
import io.grpc.Metadata
import io.grpc.ServerCall
import io.grpc.ServerCallHandler
import io.grpc.ServerInterceptor
import io.grpc.Status

/** A server that fails each call on runs as it is told, for what a real one does not do on demand. */
final class ScriptedServer extends AutoCloseable {
  private val details =
    Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER)
  private val agent = Metadata.Key.of("user-agent", Metadata.ASCII_STRING_MARSHALLER)
  private val next = new AtomicReference[(Status, Option[Array[Byte]])]
  private val seen = new AtomicInteger
  private val called = new AtomicReference[String]("")

  private val failing = new ServerInterceptor {
    override def interceptCall[Q, A](
        call: ServerCall[Q, A],
        headers: Metadata,
        handler: ServerCallHandler[Q, A]
    ): ServerCall.Listener[Q] = {
      seen.incrementAndGet()
      called.set(headers.get(agent))
      val (status, trailer) = next.get
      val trailers = new Metadata
      trailer.foreach(trailers.put(details, _))
      call.close(status, trailers)
      new ServerCall.Listener[Q] {}
    }
  }

  private val server = {
    val builder = Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
    builder.addService(new RunServiceGrpc.RunServiceImplBase {})
    builder.intercept(failing)
    builder.build().start()
  }

  /** Says how calls fail from now on: with a code, and the bytes of the trailer with the details. */
  def failWith(code: Status.Code, trailer: Option[Array[Byte]]): Unit = {
    next.set((code.toStatus, trailer))
    seen.set(0)
  }

  /** How many calls came since then. */
  def calls: Int = seen.get

  /** What the last caller named himself. */
  def userAgent: String = called.get

  def address: String = s"runwire://127.0.0.1:${server.getPort}"

  override def close(): Unit = {
    server.shutdownNow()
    server.awaitTermination()
  }
}
