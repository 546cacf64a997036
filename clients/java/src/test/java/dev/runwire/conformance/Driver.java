package dev.runwire.conformance;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.runwire.client.AbortedException;
import dev.runwire.client.AlreadyExistsException;
import dev.runwire.client.CancelledException;
import dev.runwire.client.DataLossException;
import dev.runwire.client.DeadlineExceededException;
import dev.runwire.client.FailedPreconditionException;
import dev.runwire.client.InternalException;
import dev.runwire.client.InvalidArgumentException;
import dev.runwire.client.NotFoundException;
import dev.runwire.client.OutOfRangeException;
import dev.runwire.client.PermissionDeniedException;
import dev.runwire.client.ResourceExhaustedException;
import dev.runwire.client.RunwireException;
import dev.runwire.client.UnauthenticatedException;
import dev.runwire.client.UnavailableException;
import dev.runwire.client.UnimplementedException;
import dev.runwire.client.UnknownException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** The conformance driver of the Java client; tests/conformance/README.md has its protocol. */
public final class Driver {
  private static final Gson GSON = new GsonBuilder().disableHtmlEscaping().create();
  private static final int FAULT = 70;
  private static final Map<Class<? extends RunwireException>, String> CODES =
      new LinkedHashMap<>(
          Map.ofEntries(
              Map.entry(AbortedException.class, "ABORTED"),
              Map.entry(AlreadyExistsException.class, "ALREADY_EXISTS"),
              Map.entry(CancelledException.class, "CANCELLED"),
              Map.entry(DataLossException.class, "DATA_LOSS"),
              Map.entry(DeadlineExceededException.class, "DEADLINE_EXCEEDED"),
              Map.entry(FailedPreconditionException.class, "FAILED_PRECONDITION"),
              Map.entry(InternalException.class, "INTERNAL"),
              Map.entry(InvalidArgumentException.class, "INVALID_ARGUMENT"),
              Map.entry(NotFoundException.class, "NOT_FOUND"),
              Map.entry(OutOfRangeException.class, "OUT_OF_RANGE"),
              Map.entry(PermissionDeniedException.class, "PERMISSION_DENIED"),
              Map.entry(ResourceExhaustedException.class, "RESOURCE_EXHAUSTED"),
              Map.entry(UnauthenticatedException.class, "UNAUTHENTICATED"),
              Map.entry(UnavailableException.class, "UNAVAILABLE"),
              Map.entry(UnimplementedException.class, "UNIMPLEMENTED"),
              Map.entry(UnknownException.class, "UNKNOWN")));

  private final PrintStream out;
  private final BufferedReader input =
      new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
  private final Ops ops = new Ops(this::stay);

  /** The request that is answered next; null where none waits. */
  private JsonElement id;

  private Driver(PrintStream out) {
    this.out = out;
  }

  /** What the driver throws by itself, where a case asks for it. */
  static final class OwnException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    OwnException() {
      super("asked for");
    }
  }

  /**
   * Answers requests until there are no more.
   *
   * @param arguments none
   * @throws IOException the input can not be read
   */
  public static void main(String[] arguments) throws IOException {
    Driver driver = new Driver(new PrintStream(System.out, false, StandardCharsets.UTF_8));
    System.setOut(System.err);
    JsonObject hello = new JsonObject();
    hello.addProperty("driver", "java");
    hello.addProperty("version", "0.1.0");
    hello.addProperty("pid", ProcessHandle.current().pid());
    driver.say(hello);
    driver.serve();
  }

  private void say(JsonObject message) {
    out.print(GSON.toJson(message) + "\n");
    out.flush();
  }

  /** Answers requests until there are no more, or one leaves the run: that one is answered next. */
  private void serve() throws IOException {
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      JsonObject request = JsonParser.parseString(line).getAsJsonObject();
      id = request.get("id");
      if (request.get("op").getAsString().equals("leave_run")) {
        return;
      }
      JsonObject answer = new JsonObject();
      answer(request, answer);
      if (id != null) {
        answer.add("id", id);
        say(answer);
      }
    }
    id = null;
  }

  /** Answers requests within a run. */
  private void stay(JsonElement started) throws IOException {
    JsonObject answer = new JsonObject();
    answer.add("id", id);
    answer.add("ok", started);
    say(answer);
    serve();
  }

  private void answer(JsonObject request, JsonObject answer) {
    String op = request.get("op").getAsString();
    JsonElement args = request.get("args");
    Ops.Op known = ops.find(op);
    if (known == null) {
      answer.addProperty("unsupported", op);
      return;
    }
    try {
      boolean none = args == null || args.isJsonNull();
      JsonElement result =
          known.call(new Arguments(none ? new JsonObject() : args.getAsJsonObject()));
      answer.add("ok", result == null ? JsonNull.INSTANCE : result);
    } catch (RunwireException error) {
      answer.add("error", failure(error));
    } catch (IllegalArgumentException | IllegalStateException | NullPointerException error) {
      JsonObject wrong = new JsonObject();
      wrong.addProperty("kind", "argument");
      wrong.addProperty("message", String.valueOf(error.getMessage()));
      answer.add("error", wrong);
    } catch (OwnException asked) {
      throw asked;
    } catch (Exception fault) {
      fault.printStackTrace();
      Runtime.getRuntime().halt(FAULT);
    }
  }

  static JsonObject failure(RunwireException error) {
    JsonObject told = new JsonObject();
    told.addProperty("kind", "runwire");
    CODES.forEach(
        (kind, code) -> {
          if (kind.isInstance(error)) {
            told.addProperty("code", code);
          }
        });
    told.addProperty("reason", error.reason());
    told.add("metadata", Shapes.pairs(error.metadata()));
    JsonArray fields = new JsonArray();
    error.violations().forEach(one -> fields.add(one.field()));
    told.add("fields", fields);
    told.addProperty("message", error.getMessage());
    return told;
  }
}
