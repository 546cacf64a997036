package dev.runwire.client;

import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import dev.runwire.v1.Dataset;
import dev.runwire.v1.DatasetInput;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * The rules of keys and texts that the server enforces, checked where the caller stands.
 *
 * <p>What is logged is sent later; a key that no server takes has to be an error of the line that
 * has it.
 */
final class Rules {
  static final int MOST_PARAM = 6000;
  static final int MOST_TAG = 8000;

  private static final Pattern RUN_ID = Pattern.compile("[0-9a-f]{32}");
  private static final Pattern EXPERIMENT_ID = Pattern.compile("0|[1-9][0-9]{0,18}");
  private static final int MOST_INPUTS = 100;
  private static final int MOST_KEY = 250;
  private static final int MOST_NAME = 500;
  private static final int MOST_PAIRS = 1000;
  // The largest time that a Timestamp can be, and with it any time of a run.
  private static final long MOST_TIME = 253_402_300_799_999L;

  private Rules() {}

  /** Makes the error that the server would answer with. */
  static InvalidArgumentException invalid(String field, String description) {
    return new InvalidArgumentException(
        new Failure(field + ": " + description)
            .reason("INVALID_FIELD")
            .fact("field", field)
            .violation(field, description));
  }

  static String runId(String value) {
    if (!RUN_ID.matcher(Objects.requireNonNull(value, "runId")).matches()) {
      throw invalid("run_id", "must be 32 lower-case hex digits");
    }
    return value;
  }

  static String experimentId(String value) {
    boolean good = EXPERIMENT_ID.matcher(Objects.requireNonNull(value, "experimentId")).matches();
    if (!good || (value.length() == 19 && value.compareTo(Long.toString(Long.MAX_VALUE)) > 0)) {
      throw invalid("experiment_id", "must be a decimal number without leading zeros");
    }
    return value;
  }

  /** Checks the key of a metric, a param or a tag. */
  static String key(String value, String field) {
    if (Objects.requireNonNull(value, "key").isEmpty()) {
      throw invalid(field, "must not be empty");
    }
    if (length(value) > MOST_KEY) {
      throw invalid(field, "must have at most " + MOST_KEY + " characters");
    }
    checkEncodable(value, field);
    if (hasControl(value)) {
      throw invalid(field, "must not have control characters");
    }
    for (String part : value.split("/", -1)) {
      if (part.isEmpty() || part.equals(".") || part.equals("..")) {
        throw invalid(field, "must be a relative path with no empty, '.' or '..' part");
      }
    }
    return value;
  }

  /** Checks params or tags. */
  static void pairs(Map<String, String> given, String field, int longest) {
    if (given.size() > MOST_PAIRS) {
      throw invalid(field, "must have at most " + MOST_PAIRS + " entries");
    }
    int i = 0;
    for (Map.Entry<String, String> pair : given.entrySet()) {
      key(pair.getKey(), field + "[" + i + "].key");
      text(pair.getValue(), field + "[" + i + "].value", 0, longest);
      i++;
    }
  }

  private static void text(String value, String field, int least, int most) {
    int length = length(value);
    if (length < least || length > most) {
      String range = least == 0 ? "at most " + most : least + " to " + most;
      throw invalid(field, "must have " + range + " characters");
    }
    if (value.indexOf('\0') >= 0) {
      throw invalid(field, "must not have NUL characters");
    }
    checkEncodable(value, field);
  }

  /** Checks the name of a run or an experiment. */
  static String name(String value, String field) {
    if (length(value) > MOST_NAME) {
      throw invalid(field, "must have at most " + MOST_NAME + " characters");
    }
    if (value.codePoints().allMatch(c -> Character.isWhitespace(c) || Character.isSpaceChar(c))) {
      throw invalid(field, "must not be blank");
    }
    checkEncodable(value, field);
    if (hasControl(value)) {
      throw invalid(field, "must not have control characters");
    }
    return value;
  }

  /** Checks data sets. */
  static void inputs(List<DatasetInput> given) {
    if (given.isEmpty() || given.size() > MOST_INPUTS) {
      throw invalid("inputs", "must have 1 to " + MOST_INPUTS + " entries");
    }
    for (int i = 0; i < given.size(); i++) {
      String at = "inputs[" + i + "].";
      Dataset it = given.get(i).getDataset();
      text(it.getName(), at + "dataset.name", 1, 500);
      text(it.getDigest(), at + "dataset.digest", 1, 64);
      text(it.getSourceType(), at + "dataset.source_type", 0, 250);
      text(it.getSource(), at + "dataset.source", 0, 65_535);
      text(it.getSchema(), at + "dataset.schema", 0, 1_048_575);
      text(it.getProfile(), at + "dataset.profile", 0, 1_048_575);
      text(given.get(i).getContext(), at + "context", 0, MOST_KEY);
    }
  }

  /** Checks that keys of one block are there once each. */
  static void distinct(List<String> keys, String field) {
    Set<String> seen = new HashSet<>(keys);
    if (keys.isEmpty() || seen.size() != keys.size()) {
      throw invalid(field, "must be there, and nothing twice");
    }
  }

  static void times(long[] values, String field) {
    for (long value : values) {
      if (value < 0) {
        throw invalid(field, "must be 0 or later");
      }
    }
  }

  /** Checks the time of a run. */
  static void runTime(long milliseconds, String field) {
    if (milliseconds < 0 || milliseconds > MOST_TIME) {
      throw invalid(field, "must be a time from 1970 to 9999");
    }
  }

  private static int length(String value) {
    return value.codePointCount(0, value.length());
  }

  /** Half of a pair of surrogates is no text: it would be sent as a question mark. */
  static void checkEncodable(String value, String field) {
    for (int i = 0; i < value.length(); i++) {
      char c = value.charAt(i);
      if (Character.isSurrogate(c)) {
        boolean pair = i + 1 < value.length() && Character.isSurrogatePair(c, value.charAt(i + 1));
        if (!pair) {
          throw invalid(field, "must be text that UTF-8 can hold");
        }
        i++;
      }
    }
  }

  /** Checks all texts of a request, in whatever field. */
  static void encodable(Message request) {
    encodable(request, "");
  }

  private static void encodable(Message message, String before) {
    for (Map.Entry<FieldDescriptor, Object> field : message.getAllFields().entrySet()) {
      String name = before + field.getKey().getName();
      if (!field.getKey().isRepeated()) {
        encodable(field.getValue(), name);
        continue;
      }
      int i = 0;
      for (Object one : (List<?>) field.getValue()) {
        encodable(one, name + "[" + i++ + "]");
      }
    }
  }

  private static void encodable(Object value, String field) {
    if (value instanceof String) {
      checkEncodable((String) value, field);
    } else if (value instanceof Message) {
      encodable((Message) value, field + ".");
    }
  }

  private static boolean hasControl(String value) {
    return value
        .chars()
        .anyMatch(
            c -> {
              int type = Character.getType(c);
              return type == Character.CONTROL
                  || type == Character.LINE_SEPARATOR
                  || type == Character.PARAGRAPH_SEPARATOR;
            });
  }
}
