package dev.runwire.stubs

import java.nio.file.Files

import scala.concurrent.Await
import scala.concurrent.duration._

import dev.runwire.client.RunwireClient
import dev.runwire.client.RunwireException
import dev.runwire.client.ServerProcess
import dev.runwire.stubs.v1._
import io.grpc.Grpc
import io.grpc.InsecureChannelCredentials
import io.grpc.ManagedChannel

class StubsTest extends munit.FunSuite {
  override def munitTimeout: Duration = 600.seconds

  private var server: ServerProcess = null
  private var channel: ManagedChannel = null

  override def beforeAll(): Unit = {
    server = new ServerProcess(Files.createTempDirectory("runwire-stubs")).start()
    channel = Grpc.newChannelBuilder(server.address, InsecureChannelCredentials.create()).build()
  }

  override def afterAll(): Unit = {
    channel.shutdownNow()
    server.close()
  }

  test("stubs call the server, blocking and as futures") {
    val run =
      RunServiceGrpc.blockingStub(channel).createRun(CreateRunRequest(experimentId = "0", name = "raw"))
    val runId = run.getRun.runId
    val block = Block(
      keys = Seq("loss"),
      axis = Block.Axis.Range(StepRange(first = 1, stride = 1)),
      timestampsMs = Seq(5, 6),
      values = Seq(0.5, 0.25)
    )
    val batch = LogBatchRequest(runId = runId, blocks = Seq(block), params = Seq(Param("alpha", "1")))
    Await.result(RunServiceGrpc.stub(channel).logBatch(batch), 2.minutes)
    val found = RunServiceGrpc.blockingStub(channel).getRun(GetRunRequest(runId)).getRun
    assertEquals(found.params, Seq(Param("alpha", "1")))
    assertEquals(found.metrics.map(_.count), Seq(2L))
  }

  test("stubs take the client's channel, and what they throw is made into the client's errors") {
    val client = RunwireClient.builder().address(server.address).build()
    try {
      val found = RunServiceGrpc.stub(client.channel).getRun(GetRunRequest("0" * 32))
      val error = RunwireException.of(Await.result(found.failed, 2.minutes))
      assertEquals(error.reason, "RUN_NOT_FOUND")
    } finally client.close()
  }

  test("the classes have other names than the Java client's, and the same bytes") {
    val mine = Param("key", "value")
    val javas = dev.runwire.v1.Param.newBuilder.setKey("key").setValue("value").build
    assertEquals(mine.toByteArray.toSeq, javas.toByteArray.toSeq)
    assertNotEquals(mine.getClass.getName, javas.getClass.getName)
  }
}
