package dev.runwire.scaladsl

import java.nio.file.Files
import java.nio.file.Path

import scala.concurrent.duration._

import dev.runwire.client.ServerProcess

/** Tests against a real server, which all tests of a class share. */
abstract class ServerSuite extends munit.FunSuite {
  private var process: ServerProcess = null
  private var spools: Path = null

  override def munitTimeout: Duration = 600.seconds

  override def beforeAll(): Unit = {
    spools = Files.createTempDirectory("runwire-scala")
    process = new ServerProcess(spools.resolve("server")).start()
  }

  override def afterAll(): Unit = Option(process).foreach(_.close())

  def server: ServerProcess = process

  /** A folder that no other test has. */
  def folder(): Path = Files.createTempDirectory(spools, "test")

  /** Lends a client of its own. */
  def withClient[A](body: Client => A): A = {
    // A slow machine may stand still for a while.
    val client = Runwire.connect(
      s"runwire://${server.address}",
      timeout = 2.minutes,
      retry = Retry(connectTimeout = 2.minutes),
      spoolDir = Some(folder())
    )
    try body(client)
    finally client.close()
  }
}
