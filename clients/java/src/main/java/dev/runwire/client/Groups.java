package dev.runwire.client;

import dev.runwire.v1.Group;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** How sets of keys are named: inline, and from their second use on by a group where wide. */
final class Groups {
  // Sets of keys as wide as this become a group at their first use: inline they would fill frames.
  private static final int WIDE_KEYS = 1000;
  private static final int MOST_GROUP_KEYS = 10_000;
  // A client has two that make groups, and one stream declares at most 1,000.
  private static final int MOST_GROUPS = 500;
  private static final long MOST_GROUP_BYTES = 16L * 1024 * 1024;
  private static final int MOST_GROUP_TEXT = 1024 * 1024;
  private static final int MOST_SEEN = 10_000;

  private final Map<List<String>, List<Part>> known = new HashMap<>();
  private final Set<List<String>> seen = new HashSet<>();
  private int count;
  private long bytes;

  /** A part of a set of keys that one block can name: keys from {@code start} to {@code end}. */
  static final class Part {
    final int start;
    final int end;
    final byte[] header;
    final Group group;

    Part(int start, int end, byte[] header, Group group) {
      this.start = start;
      this.end = end;
      this.header = header;
      this.group = group;
    }
  }

  /** Names a set of keys: what each block of them names; one but for very wide sets. */
  List<Part> parts(List<String> keys) {
    if (keys.size() < Wire.GROUP_KEYS) {
      return List.of(new Part(0, keys.size(), Wire.names(keys), null));
    }
    List<Part> found = known.get(keys);
    if (found != null) {
      return found;
    }
    if (keys.size() < WIDE_KEYS && !seen.contains(keys)) {
      if (seen.size() >= MOST_SEEN) {
        seen.clear();
      }
      seen.add(keys);
      return List.of(new Part(0, keys.size(), Wire.names(keys), null));
    }
    List<Part> made = new ArrayList<>();
    boolean grouped = true;
    for (int start = 0; start < keys.size(); ) {
      int end = pieceEnd(keys, start);
      Part part = part(keys.subList(start, end), start, end);
      // A last piece may be too narrow for a group, and needs none.
      grouped &= part.group != null || end - start < Wire.GROUP_KEYS;
      made.add(part);
      start = end;
    }
    if (grouped) {
      known.put(keys, made);
    }
    return made;
  }

  /** Divides keys so that each piece can be declared in one message. */
  private static int pieceEnd(List<String> keys, int start) {
    int size = 0;
    int end = start;
    while (end < keys.size() && end - start < MOST_GROUP_KEYS && size <= MOST_GROUP_TEXT) {
      size += 4 * keys.get(end).length();
      end++;
    }
    return end;
  }

  private Part part(List<String> piece, int start, int end) {
    long size = piece.stream().mapToLong(String::length).sum();
    boolean full = count >= MOST_GROUPS || bytes + size > MOST_GROUP_BYTES;
    if (full || piece.size() < Wire.GROUP_KEYS) {
      return new Part(start, end, Wire.names(piece), null);
    }
    count++;
    bytes += size;
    Group group = Wire.group(piece);
    return new Part(start, end, Wire.named(group), group);
  }
}
