package dev.runwire.client;

/** A place in a writer's history: a frame's sequence, and the chained CRC of all up to it. */
final class Mark {
  static final Mark START = new Mark(0, 0);

  final long sequence;
  final int crc;

  Mark(long sequence, int crc) {
    this.sequence = sequence;
    this.crc = crc;
  }

  boolean isAt(Mark other) {
    return sequence == other.sequence && crc == other.crc;
  }
}
