package dev.runwire.scaladsl

import dev.runwire.client

/** New points of watched runs, event by event, for ever; `close` ends it, from any thread.
  *
  * A connection that breaks is made again and goes on where it was, without loss or repeat. The first event
  * comes at once, and may be empty: it says that the watch is in place. But for `close`, it is for one
  * thread.
  */
final class MetricWatch private[scaladsl] (watch: client.MetricWatch)
    extends Iterator[MetricEvent]
    with AutoCloseable {

  /** Where to go on behind the last event, with another watch; empty before the first event. */
  def cursor: String = watch.cursor

  /** Waits for an event; there is one until the watch is closed.
    *
    * @throws NotFoundException
    *   a watched run was purged
    * @throws InvalidArgumentException
    *   the server can make nothing of the cursor
    */
  override def hasNext: Boolean = watch.hasNext

  /** Waits for the next event, and returns it. */
  override def next(): MetricEvent = Convert.event(watch.next())

  /** Ends the watch; who waits for an event gets none. */
  override def close(): Unit = watch.close()
}
