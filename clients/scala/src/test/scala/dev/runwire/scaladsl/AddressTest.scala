package dev.runwire.scaladsl

import java.nio.file.Files
import java.nio.file.Paths

import scala.concurrent.duration._
import scala.jdk.CollectionConverters._

import com.google.gson.JsonParser

class AddressTest extends munit.FunSuite {
  override def munitTimeout: Duration = 600.seconds

  private def vectors =
    JsonParser.parseString(Files.readString(Paths.get("../../vectors/addresses.json"))).getAsJsonObject

  private def address(text: String): String = {
    val client = Runwire.connect(text, spoolDir = Some(Files.createTempDirectory("runwire-scala")))
    try client.address
    finally client.close()
  }

  test("addresses are read as in every language") {
    for (one <- vectors.getAsJsonArray("read").asScala.map(_.getAsJsonObject))
      assertEquals(address(one.get("address").getAsString), one.get("text").getAsString)
    for (folder <- vectors.getAsJsonArray("folders").asScala)
      assert(address(folder.getAsString).startsWith("/"), folder)
  }

  test("what is no address is refused") {
    // An empty one stands for the environment's.
    for (text <- vectors.getAsJsonArray("refused").asScala.map(_.getAsString) if text.nonEmpty)
      intercept[IllegalArgumentException](address(text))
  }
}
