package dev.runwire.examples.spark

import java.io.BufferedReader
import java.io.InputStreamReader
import java.nio.file.Path

/** A standalone cluster of two workers, each on a host of its own: Spark gives a task no second attempt on
  * the host that has the first.
  *
  * @param start
  *   starts a program of Spark: its class and its arguments
  * @param folder
  *   where the workers keep their files
  */
final class StandaloneCluster(start: Seq[String] => Process, folder: Path) extends AutoCloseable {
  private val Told = """.*Starting Spark master at (spark://\S+).*""".r
  private val free = Seq("--port", "0", "--webui-port", "0")
  private val master = start(Seq("org.apache.spark.deploy.master.Master", "--host", "127.0.0.1") ++ free)

  /** The master's address. */
  val address: String = {
    val lines = new BufferedReader(new InputStreamReader(master.getErrorStream))
    val said = Iterator.continually(lines.readLine()).takeWhile(_ != null)
    said.collectFirst { case Told(found) => found }.getOrElse(sys.error("the master did not start"))
  }

  private val workers = Seq("127.0.0.1", "127.0.0.2").map { host =>
    val words = Seq("--host", host, "--cores", "1", "--memory", "1g", "--work-dir", s"$folder/$host", address)
    start("org.apache.spark.deploy.worker.Worker" +: (free ++ words))
  }

  override def close(): Unit = {
    (workers :+ master).foreach(_.destroy())
    (workers :+ master).foreach(_.waitFor())
  }
}
