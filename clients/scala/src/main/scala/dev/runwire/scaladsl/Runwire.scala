package dev.runwire.scaladsl

import java.nio.file.Path

import scala.concurrent.duration._

import dev.runwire.client.RunwireClient

/** How failed calls are repeated.
  *
  * Pauses grow from `initial` by `multiplier` up to `maximum`, each drawn at random between 0 and that. All
  * attempts share the call's deadline.
  *
  * @param initial
  *   longest first pause
  * @param multiplier
  *   growth of the pause from one attempt to the next
  * @param maximum
  *   longest pause
  * @param maxAttempts
  *   most attempts of a call; None for as many as its deadline has room for
  * @param connectTimeout
  *   after which a client that never reached its server gives up
  */
final case class Retry(
    initial: FiniteDuration = 100.millis,
    multiplier: Double = 2.0,
    maximum: FiniteDuration = 2.seconds,
    maxAttempts: Option[Int] = None,
    connectTimeout: FiniteDuration = 3.seconds
) {
  private[scaladsl] def java: dev.runwire.client.Retry = {
    val found = new dev.runwire.client.Retry()
      .initial(Convert.duration(initial))
      .multiplier(multiplier)
      .maximum(Convert.duration(maximum))
      .connectTimeout(Convert.duration(connectTimeout))
    maxAttempts.fold(found)(most => found.maxAttempts(most))
  }
}

/** Connects to Runwire servers. */
object Runwire {

  /** Connects to a server. What is not given is as the environment says, or the default.
    *
    * @param address
    *   `runwire://host:port` (plain text), `runwires://host:port` (TLS), `unix:path` or `host:port`; or a
    *   folder such as `./runwire-data`, whose running server is joined. Empty for the environment's
    *   RUNWIRE_TRACKING_URI
    * @param token
    *   the server's token; empty for the environment's RUNWIRE_TOKEN, else none
    * @param tlsCa
    *   PEM file with the certificates to trust; None for the environment's RUNWIRE_TLS_CA, else those that
    *   Java trusts
    * @param timeout
    *   how long a call may take, its repeats included
    * @param retry
    *   how failed calls are repeated
    * @param mode
    *   whether there is a server; None for the environment's RUNWIRE_MODE, else online
    * @param spoolDir
    *   folder for what is logged and not delivered; None for the environment's RUNWIRE_SPOOL_DIR, else
    *   `./runwire-offline` offline, and online a folder of the user's
    * @param spoolBytes
    *   most bytes of that
    * @param onSpoolFull
    *   what a call that logs does then
    * @param shutdownTimeout
    *   how long the exit of the process may wait for the delivery of what was logged
    * @param experiment
    *   name of the experiment of runs that are started without one; empty for the environment's
    *   RUNWIRE_EXPERIMENT, else Default
    * @return
    *   the client; it connects at the first call
    */
  def connect(
      address: String = "",
      token: String = "",
      tlsCa: Option[Path] = None,
      timeout: FiniteDuration = 30.seconds,
      retry: Retry = Retry(),
      mode: Option[Mode] = None,
      spoolDir: Option[Path] = None,
      spoolBytes: Long = 1L << 30,
      onSpoolFull: OnSpoolFull = OnSpoolFull.Block,
      shutdownTimeout: FiniteDuration = 60.seconds,
      experiment: String = ""
  ): Client = {
    val builder = RunwireClient
      .builder()
      .userAgent(s"runwire-scala/$version")
      .timeout(Convert.duration(timeout))
      .retry(retry.java)
      .spoolBytes(spoolBytes)
      .onSpoolFull(onSpoolFull.java)
      .shutdownTimeout(Convert.duration(shutdownTimeout))
    if (address.nonEmpty) builder.address(address)
    if (token.nonEmpty) builder.token(token)
    if (experiment.nonEmpty) builder.experiment(experiment)
    tlsCa.foreach(path => builder.tlsCa(path))
    mode.foreach(one => builder.mode(one.java))
    spoolDir.foreach(path => builder.spoolDir(path))
    new Client(builder.build())
  }

  private def version: String =
    Option(getClass.getPackage.getImplementationVersion).getOrElse("development")

  /** Takes up a client of the Java API, for what its builder has and `connect` has not: a ready channel, an
    * executor.
    *
    * @param client
    *   the client; closing either closes both
    */
  def of(client: RunwireClient): Client = new Client(client)
}
