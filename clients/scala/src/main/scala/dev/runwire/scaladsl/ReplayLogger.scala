package dev.runwire.scaladsl

import dev.runwire.client

/** Logs to one run from a piece of work that may be done more than once, such as a task of Spark, so that all
  * is stored once; see [[Client.replay]].
  *
  * Each attempt has to make the same calls in the same order, flushes included, with the same keys and steps;
  * a map's keys in the same order, too. Times and values may differ: those that arrived first stay. What is
  * rejected is thrown by the next flush or at the end of the work, to each attempt. For one thread at a time.
  */
final class ReplayLogger private[scaladsl] (writer: client.ReplayableLogger) extends RunLogger(writer)
