package dev.runwire.client;

import dev.runwire.v1.Group;
import java.util.Collection;
import java.util.List;

/** A frame as it is kept, with the groups that have to be declared before it. */
final class Stored {
  final long sequence;
  final int previousCrc;
  final byte[] payload;
  final List<Group> groups;

  Stored(long sequence, int previousCrc, byte[] payload, Collection<Group> groups) {
    this.sequence = sequence;
    this.previousCrc = previousCrc;
    this.payload = payload;
    this.groups = List.copyOf(groups);
  }
}
