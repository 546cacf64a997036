package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import dev.runwire.v1.Block;
import dev.runwire.v1.Group;
import dev.runwire.v1.Record;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FoldTest {
  private final Map<ByteString, List<String>> groups = new HashMap<>();
  private final List<LogRecord> records = new ArrayList<>();

  /** The points of each key, as text, in the order in which the records have them. */
  private Map<String, List<String>> points() throws InvalidProtocolBufferException {
    Map<String, List<String>> found = new HashMap<>();
    for (LogRecord record : records) {
      for (Group group : record.groups) {
        groups.put(group.getHash(), group.getKeysList());
      }
      if (record.data.length == 0) {
        continue;
      }
      for (Block block : Record.parseFrom(record.data).getBatch().getBlocksList()) {
        List<String> keys =
            block.getGroup().isEmpty() ? block.getKeysList() : groups.get(block.getGroup());
        for (int row = 0; row < block.getTimestampsMsCount(); row++) {
          long step =
              block.hasRange()
                  ? block.getRange().getFirst() + row * block.getRange().getStride()
                  : block.getSteps().getSteps(row);
          for (int k = 0; k < keys.size(); k++) {
            double value = block.getValues(row * keys.size() + k);
            found
                .computeIfAbsent(keys.get(k), none -> new ArrayList<>())
                .add(step + " " + block.getTimestampsMs(row) + " " + value);
          }
        }
      }
    }
    return found;
  }

  @RepeatedTest(30)
  void eachKeyKeepsItsPointsInTheirOrder(RepetitionInfo info)
      throws InvalidProtocolBufferException {
    Random chance = new Random(info.getCurrentRepetition());
    Fold fold = new Fold(new Groups(), records::add);
    Buffer.Keys keys = new Buffer.Keys("0".repeat(32));
    List<List<String>> sets =
        List.of(
            List.of("a", "b"),
            List.of("b", "a"),
            IntStream.range(0, 12).mapToObj(i -> "k" + i).collect(Collectors.toList()));
    Map<String, List<String>> expected = new HashMap<>();
    for (int i = 0; i < 500; i++) {
      long step = chance.nextBoolean() ? i : chance.nextLong();
      if (chance.nextBoolean()) {
        String key = List.of("a", "b", "c", "k3").get(chance.nextInt(4));
        fold.point(keys.single(key), i, step, i);
        expected
            .computeIfAbsent(key, none -> new ArrayList<>())
            .add(step + " " + i + " " + (double) i);
      } else {
        List<String> set = sets.get(chance.nextInt(3));
        double[] values = new double[set.size()];
        for (int k = 0; k < values.length; k++) {
          values[k] = i + k / 100.0;
          expected
              .computeIfAbsent(set.get(k), none -> new ArrayList<>())
              .add(step + " " + i + " " + values[k]);
        }
        fold.row(new Row(keys.row(set), values), step, i);
      }
      if (chance.nextInt(50) == 0) {
        fold.finish();
      }
    }
    fold.finish();
    assertEquals(expected, points());
  }

  @Test
  void regularStepsAreTwoNumbersAndOthersAreListed() throws InvalidProtocolBufferException {
    Fold fold = new Fold(new Groups(), records::add);
    Buffer.Keys keys = new Buffer.Keys("0".repeat(32));
    for (long step : new long[] {5, 3, 1, -1}) {
      fold.point(keys.single("down"), 1, step, 1);
    }
    for (long step : new long[] {Long.MIN_VALUE, Long.MAX_VALUE}) {
      fold.point(keys.single("far"), 1, step, 1);
    }
    fold.finish();
    List<Block> blocks = Record.parseFrom(records.get(0).data).getBatch().getBlocksList();
    assertEquals(-2, blocks.get(0).getRange().getStride());
    assertEquals(List.of(Long.MIN_VALUE, Long.MAX_VALUE), blocks.get(1).getSteps().getStepsList());
  }

  @Test
  void pointsNeverCrossAnotherRecordOfTheirRun() {
    Fold fold = new Fold(new Groups(), records::add);
    String one = "1".repeat(32);
    String two = "2".repeat(32);
    Buffer.Keys first = new Buffer.Keys(one);
    Buffer.Keys second = new Buffer.Keys(two);
    fold.point(first.single("m"), 1, 1, 1);
    fold.point(second.single("m"), 1, 1, 1);
    fold.record(new LogRecord(one, new byte[0]));
    fold.point(first.single("m"), 2, 2, 2);
    fold.finish();
    assertEquals(
        List.of(one, one, two, one),
        records.stream().map(record -> record.runId).collect(Collectors.toList()));
    assertTrue(records.get(1).data.length == 0);
  }

  @ParameterizedTest
  @ValueSource(ints = {10_001, 10_008, 10_009, 20_001})
  void aVeryWideSetIsNamedOnceHoweverNarrowItsLastPiece(int count) {
    Groups groups = new Groups();
    List<String> keys =
        IntStream.range(0, count).mapToObj(i -> "layer/" + i).collect(Collectors.toList());
    Group first = groups.parts(keys).get(0).group;
    assertNotNull(first);
    assertSame(first, groups.parts(keys).get(0).group);
  }

  @Test
  void twoThatMakeGroupsStayWithinWhatOneStreamDeclares() {
    Groups groups = new Groups();
    int made = 0;
    for (int i = 0; i < 600; i++) {
      String name = "k" + i + "/";
      List<String> keys =
          IntStream.range(0, 12).mapToObj(k -> name + k).collect(Collectors.toList());
      groups.parts(keys);
      made += groups.parts(keys).get(0).group == null ? 0 : 1;
    }
    assertEquals(500, made);
  }
}
