package dev.runwire.client;

/** One writer with its frames. A client has one, and a new one when the writer is over. */
final class Lane {
  final Frames frames;
  final Writer writer;

  /** Why the writer can not go on; null as long as it can. */
  RunwireException over;

  Lane(Frames frames, Writer writer) {
    this.frames = frames;
    this.writer = writer;
  }
}
