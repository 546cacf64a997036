package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import dev.runwire.v1.Block;
import dev.runwire.v1.FramePayload;
import dev.runwire.v1.Group;
import dev.runwire.v1.Record;
import dev.runwire.v1.Rejection;
import io.grpc.Metadata;
import io.grpc.Status;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The vectors that clients of every language are tested against. */
class VectorsTest {
  private static final Path VECTORS = Paths.get("../vectors").toAbsolutePath().normalize();

  private static final Metadata.Key<byte[]> DETAILS =
      Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);

  private static JsonElement read(String name) throws IOException {
    return JsonParser.parseString(Files.readString(VECTORS.resolve(name)));
  }

  @Test
  void everyReasonHasItsClassAndIsRepeatedOrNot() throws IOException {
    Settings given = new Settings(RunwireClient.builder().address("host"));
    JsonObject reasons = read("errors.json").getAsJsonObject().getAsJsonObject("reasons");
    assertTrue(reasons.size() > 30);
    for (String reason : reasons.keySet()) {
      JsonObject told = reasons.getAsJsonObject(reason);
      StatusCode code = StatusCode.valueOf(told.get("code").getAsString());
      boolean retryable = told.get("retryable").getAsBoolean();
      RunwireException error = failed(code, reason, retryable);
      assertEquals(className(told.get("name").getAsString()), nameOf(error), reason);
      assertEquals(reason, error.reason());
      long pause = new Attempts(given, 30_000_000_000L, 0, true).pause(error, 0);
      assertEquals(retryable, pause != Attempts.NONE, reason);
    }
  }

  /** Makes the exception of what a server says. */
  private static RunwireException failed(StatusCode code, String reason, boolean retryable) {
    ErrorInfo info = ErrorInfo.newBuilder().setDomain("runwire").setReason(reason).build();
    com.google.rpc.Status.Builder said =
        com.google.rpc.Status.newBuilder().addDetails(Any.pack(info));
    if (retryable) {
      Duration delay = Duration.newBuilder().setNanos(250_000_000).build();
      said.addDetails(Any.pack(RetryInfo.newBuilder().setRetryDelay(delay).build()));
    }
    Metadata trailers = new Metadata();
    trailers.put(DETAILS, said.build().toByteArray());
    return Statuses.toException(Status.Code.valueOf(code.name()).toStatus(), trailers);
  }

  private static String className(String name) {
    return (name.endsWith("Error") ? name.substring(0, name.length() - 5) : name) + "Exception";
  }

  private static String nameOf(RunwireException error) {
    return error.getClass().getSimpleName();
  }

  @Test
  void failedCallsAreReadAsTheyAreMeant() throws IOException {
    for (JsonElement one : read("statuses.json").getAsJsonArray()) {
      JsonObject told = one.getAsJsonObject();
      Metadata trailers = new Metadata();
      if (!told.get("trailer").isJsonNull()) {
        trailers.put(DETAILS, Ids.fromHex(told.get("trailer").getAsString()));
      }
      // A code that gRPC for Java does not know is UNKNOWN before it comes to the client.
      Status.Code code =
          Stream.of(Status.Code.values())
              .filter(known -> known.name().equals(told.get("code").getAsString()))
              .findFirst()
              .orElse(Status.Code.UNKNOWN);
      RunwireException found = Statuses.toException(code.toStatus(), trailers);
      String about = told.get("about").getAsString();
      assertEquals(className(told.get("name").getAsString()), nameOf(found), about);
      assertEquals(told.get("reason").getAsString(), found.reason(), about);
      Map<String, String> facts = new HashMap<>();
      JsonObject metadata = told.getAsJsonObject("metadata");
      metadata.keySet().forEach(key -> facts.put(key, metadata.get(key).getAsString()));
      assertEquals(facts, found.metadata(), about);
      JsonArray violations = new JsonArray();
      for (Violation violation : found.violations()) {
        JsonArray pair = new JsonArray();
        pair.add(violation.field());
        pair.add(violation.description());
        violations.add(pair);
      }
      assertEquals(told.getAsJsonArray("violations"), violations, about);
      Double delay =
          told.get("retry_delay").isJsonNull() ? null : told.get("retry_delay").getAsDouble();
      assertEquals(delay, found.retryDelay().map(it -> it.toNanos() / 1e9).orElse(null), about);
    }
  }

  static Stream<String> spools() throws IOException {
    List<String> found = new ArrayList<>();
    try (DirectoryStream<Path> all = Files.newDirectoryStream(VECTORS.resolve("spool"), "*.json")) {
      all.forEach(path -> found.add(path.getFileName().toString().replace(".json", "")));
    }
    assertTrue(found.size() > 5);
    return found.stream();
  }

  @ParameterizedTest
  @MethodSource("spools")
  void spoolsAreReadAsTheyAreMeant(String name) throws IOException {
    JsonObject told = read("spool/" + name + ".json").getAsJsonObject();
    LeftSpool spool = new LeftSpool(VECTORS.resolve("spool").resolve(name));
    if (!spool.segments.isEmpty()) {
      Segments.Head head = spool.segments.get(0).head;
      assertEquals(told.get("writer_id").getAsString(), head.writerId);
      assertEquals(told.get("address").getAsString(), head.address);
    }
    check(told.getAsJsonObject("acked"), spool.acked);
    check(told.getAsJsonObject("cut"), spool.cut);
    assertEquals(told.get("undelivered_frames").getAsLong(), spool.undelivered());
    assertEquals(told.get("segments_left_out").getAsInt(), spool.strays.size());
    JsonArray torn = new JsonArray();
    spool.torn.forEach(torn::add);
    assertEquals(told.getAsJsonArray("torn_bytes"), torn);
    assertEquals(told.getAsJsonArray("rejections").size() > 0, spool.untold);
    final List<Stored> frames = new ArrayList<>();
    final Map<String, List<String>> groups = new LinkedHashMap<>();
    for (Segments.Scan scan : spool.segments) {
      try (Segments.Cursor cursor = new Segments.Cursor(scan.segment)) {
        for (long next = scan.head.before.sequence + 1; next <= scan.end.sequence; next++) {
          frames.add(cursor.read(next));
        }
      }
    }
    JsonArray expected = told.getAsJsonArray("frames");
    assertEquals(expected.size(), frames.size());
    for (int i = 0; i < frames.size(); i++) {
      check(expected.get(i).getAsJsonObject(), frames.get(i), groups);
    }
    JsonObject named = told.getAsJsonObject("groups");
    groups.forEach((hash, keys) -> assertEquals(texts(named.getAsJsonArray(hash)), keys));
  }

  private static void check(JsonObject told, Mark mark) {
    assertEquals(told.get("sequence").getAsLong(), mark.sequence);
    assertEquals(told.get("crc").getAsLong(), mark.crc & 0xffffffffL);
  }

  private static List<String> texts(JsonArray items) {
    List<String> found = new ArrayList<>();
    items.forEach(item -> found.add(item.getAsString()));
    return found;
  }

  private static void check(JsonObject told, Stored frame, Map<String, List<String>> groups)
      throws IOException {
    assertEquals(told.get("sequence").getAsLong(), frame.sequence);
    assertEquals(told.get("previous_crc").getAsLong(), frame.previousCrc & 0xffffffffL);
    int crc = Writer.chained(frame.previousCrc, frame.payload);
    assertEquals(told.get("crc").getAsLong(), crc & 0xffffffffL);
    assertEquals(told.get("payload_bytes").getAsInt(), frame.payload.length);
    CRC32 alone = new CRC32();
    alone.update(frame.payload);
    assertEquals(told.get("payload_crc").getAsLong(), alone.getValue());
    List<String> declared = new ArrayList<>();
    for (Group group : frame.groups) {
      String hash = Ids.toHex(group.getHash().toByteArray());
      declared.add(hash);
      groups.put(hash, group.getKeysList());
      assertEquals(group, Wire.group(group.getKeysList()));
    }
    assertEquals(texts(told.getAsJsonArray("declared")), declared);
    FramePayload payload = FramePayload.parseFrom(frame.payload);
    JsonArray records = told.getAsJsonArray("records");
    assertEquals(records.size(), payload.getRecordsCount());
    for (int i = 0; i < records.size(); i++) {
      check(records.get(i).getAsJsonObject(), payload.getRecords(i));
    }
  }

  private static void check(JsonObject told, Record record) {
    String kind = told.keySet().iterator().next();
    assertEquals(kind, record.getKindCase().name().toLowerCase(java.util.Locale.ROOT));
    if (!record.hasBatch() || !told.getAsJsonObject(kind).has("blocks")) {
      return;
    }
    JsonArray blocks = told.getAsJsonObject(kind).getAsJsonArray("blocks");
    for (int i = 0; i < blocks.size(); i++) {
      Block block = record.getBatch().getBlocks(i);
      JsonArray bits = new JsonArray();
      block
          .getValuesList()
          .forEach(value -> bits.add(String.format("%016x", Double.doubleToRawLongBits(value))));
      assertEquals(blocks.get(i).getAsJsonObject().getAsJsonArray("values"), bits);
    }
  }

  @ParameterizedTest
  @MethodSource("spools")
  void spoolsAreWrittenByteForByte(String name) throws IOException {
    for (Path path : Segments.in(VECTORS.resolve("spool").resolve(name))) {
      Segments.Scan scan = Segments.scan(path);
      if (scan.head == null) {
        continue;
      }
      ByteArrayOutputStream made = new ByteArrayOutputStream();
      made.writeBytes(Segments.head(scan.head.writerId, scan.head.before, scan.head.address));
      List<Group> written = new ArrayList<>();
      try (Segments.Cursor cursor = new Segments.Cursor(scan.segment)) {
        for (long next = scan.head.before.sequence + 1; next <= scan.end.sequence; next++) {
          Stored frame = cursor.read(next);
          for (Group group : frame.groups) {
            if (!written.contains(group)) {
              written.add(group);
              made.writeBytes(Segments.entry(Segments.GROUP, group.toByteArray()));
            }
          }
          made.writeBytes(Segments.frame(frame.sequence, frame.previousCrc, frame.payload));
        }
      }
      byte[] whole = made.toByteArray();
      assertArrayEquals(Arrays.copyOf(Files.readAllBytes(path), whole.length), whole);
    }
  }

  private static Rejection rejection(JsonObject told) {
    Rejection.Builder made =
        Rejection.newBuilder()
            .setRunId(told.get("run_id").getAsString())
            .setReason(told.get("reason").getAsString())
            .setMessage(told.get("message").getAsString())
            .setFirstSequence(told.get("first_sequence").getAsLong())
            .setLastSequence(told.get("last_sequence").getAsLong())
            .setRecords(told.get("records").getAsLong())
            .setPoints(told.has("points") ? told.get("points").getAsLong() : 0);
    if (told.has("metadata")) {
      JsonObject facts = told.getAsJsonObject("metadata");
      facts.keySet().forEach(key -> made.putMetadata(key, facts.get(key).getAsString()));
    }
    return made.build();
  }

  /** Whether a file is there, and starts with what was written just now. */
  private static void checkStart(Path vector, Path made) throws IOException {
    byte[] found = Files.readAllBytes(made);
    byte[] told = Files.readAllBytes(vector);
    assertTrue(told.length >= found.length, vector.toString());
    assertArrayEquals(Arrays.copyOf(told, found.length), found, vector.toString());
  }

  @ParameterizedTest
  @MethodSource("spools")
  void notesAreWrittenByteForByte(String name, @TempDir Path root) throws IOException {
    JsonObject told = read("spool/" + name + ".json").getAsJsonObject();
    Path vector = VECTORS.resolve("spool").resolve(name);
    Spool spool = Spool.create(root, told.get("writer_id").getAsString(), "", 1 << 20);
    Path made = Path.of(spool.place());
    JsonArray rejections = told.getAsJsonArray("rejections");
    List<Rejection> notes = new ArrayList<>();
    rejections.forEach(one -> notes.add(rejection(one.getAsJsonObject())));
    spool.note(notes);
    assertEquals(Files.exists(vector.resolve("rejections")), !notes.isEmpty());
    if (!notes.isEmpty()) {
      checkStart(vector.resolve("rejections"), made.resolve("rejections"));
    }
    assertEquals(Files.exists(vector.resolve("aside")), !told.get("aside").isJsonNull());
    if (!told.get("aside").isJsonNull()) {
      JsonObject aside = told.getAsJsonObject("aside");
      spool.setAside(
          aside.get("reason").getAsString(),
          aside.get("message").getAsString(),
          aside.get("delivered").getAsLong());
      checkStart(vector.resolve("aside"), made.resolve("aside"));
    }
    JsonObject acked = told.getAsJsonObject("acked");
    Mark mark = new Mark(acked.get("sequence").getAsLong(), (int) acked.get("crc").getAsLong());
    // A torn one counts for nothing.
    if (mark.sequence > 0) {
      spool.acknowledge(mark);
      checkStart(vector.resolve("acked"), made.resolve("acked"));
    }
    spool.close();
  }
}
