package dev.runwire.conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.runwire.client.RunwireClient;
import dev.runwire.v1.ExperimentServiceGrpc;
import dev.runwire.v1.MetricServiceGrpc;
import dev.runwire.v1.RunServiceGrpc;
import dev.runwire.v1.ServerServiceGrpc;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** Sends serialised requests by the client's channel, as users of the generated stubs do. */
final class RawCalls {
  private RawCalls() {}

  private static final class Bytes implements MethodDescriptor.Marshaller<byte[]> {
    @Override
    public InputStream stream(byte[] value) {
      return new ByteArrayInputStream(value);
    }

    @Override
    public byte[] parse(InputStream stream) {
      try {
        return stream.readAllBytes();
      } catch (IOException failed) {
        throw new UncheckedIOException(failed);
      }
    }
  }

  private static MethodDescriptor.MethodType type(String name) {
    return Stream.of(
            ExperimentServiceGrpc.getServiceDescriptor(),
            RunServiceGrpc.getServiceDescriptor(),
            MetricServiceGrpc.getServiceDescriptor(),
            ServerServiceGrpc.getServiceDescriptor())
        .flatMap(service -> service.getMethods().stream())
        .filter(method -> method.getFullMethodName().equals(name))
        .map(MethodDescriptor::getType)
        .findFirst()
        .orElse(MethodDescriptor.MethodType.UNARY);
  }

  static JsonObject send(RunwireClient client, Arguments args)
      throws InterruptedException, ExecutionException {
    String name = args.text("method").substring(1);
    MethodDescriptor<byte[], byte[]> method =
        MethodDescriptor.newBuilder(new Bytes(), new Bytes())
            .setFullMethodName(name)
            .setType(type(name))
            .build();
    CallOptions options = CallOptions.DEFAULT.withDeadlineAfter(120, TimeUnit.SECONDS);
    ClientCall<byte[], byte[]> call = client.channel().newCall(method, options);
    JsonArray responses = new JsonArray();
    CompletableFuture<Void> done = new CompletableFuture<>();
    call.start(
        new ClientCall.Listener<byte[]>() {
          @Override
          public void onMessage(byte[] message) {
            responses.add(hex(message));
          }

          @Override
          public void onClose(Status status, Metadata trailers) {
            if (status.isOk()) {
              done.complete(null);
            } else {
              done.completeExceptionally(status.asRuntimeException(trailers));
            }
          }
        },
        new Metadata());
    call.request(Integer.MAX_VALUE);
    for (JsonElement request : args.raw("requests").getAsJsonArray()) {
      call.sendMessage(bytes(request.getAsString()));
    }
    call.halfClose();
    done.get();
    JsonObject made = new JsonObject();
    made.add("responses", responses);
    return made;
  }

  private static String hex(byte[] data) {
    StringBuilder text = new StringBuilder();
    for (byte one : data) {
      text.append(String.format("%02x", one));
    }
    return text.toString();
  }

  private static byte[] bytes(String hex) {
    byte[] data = new byte[hex.length() / 2];
    for (int i = 0; i < data.length; i++) {
      data[i] = (byte) Integer.parseInt(hex.substring(2 * i, 2 * i + 2), 16);
    }
    return data;
  }
}
