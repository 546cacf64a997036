package dev.runwire.scaladsl

import java.nio.file.Files
import java.nio.file.Path

import scala.concurrent.duration._

import dev.runwire.client.ServerProcess

/** Tests against a real server, which all tests of a class share. */
abstract class ServerSuite extends munit.FunSuite {
  private var process: ServerProcess = null
  private var spools: Path = null

  override def munitTimeout: Duration = 120.seconds

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
    // The first connection of a process may take long where others are busy.
    val patient = Retry(connectTimeout = 30.seconds)
    val client = Runwire.connect(s"runwire://${server.address}", spoolDir = Some(folder()), retry = patient)
    try body(client)
    finally client.close()
  }
}
