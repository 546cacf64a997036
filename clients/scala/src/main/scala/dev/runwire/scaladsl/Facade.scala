package dev.runwire.scaladsl

import dev.runwire.client.RunwireClient

/** What a [[Client]] stands in front of. */
trait Facade {

  /** The Java client: the way to raw calls, by its channel. */
  def underlying: RunwireClient
}
