package dev.runwire.client;

import com.google.protobuf.Message;
import io.grpc.MethodDescriptor;
import java.util.List;
import java.util.function.Function;

/**
 * One call, ready to be sent any number of times: the request id is in the request.
 *
 * @param <Q> the request
 * @param <A> the answer, or each of them
 * @param <R> what the caller gets
 */
final class Call<Q, A, R> {
  final MethodDescriptor<Q, A> method;
  final Q request;

  /** Makes the result of the answers; unary calls have one. */
  final Function<List<A>, R> convert;

  /** Whether it has to come behind what was logged before: it reads or changes runs. */
  final boolean behindLogs;

  private Call(
      MethodDescriptor<Q, A> method, Q request, Function<List<A>, R> convert, boolean behindLogs) {
    this.method = method;
    this.request = request;
    this.convert = convert;
    this.behindLogs = behindLogs;
  }

  static <Q extends Message, A, R> Call<Q, A, R> unary(
      MethodDescriptor<Q, A> method, Q request, Function<A, R> convert) {
    Rules.encodable(request);
    return new Call<>(method, request, answers -> convert.apply(answers.get(0)), true);
  }

  static <Q extends Message, A, R> Call<Q, A, R> streaming(
      MethodDescriptor<Q, A> method, Q request, Function<List<A>, R> convert) {
    Rules.encodable(request);
    return new Call<>(method, request, convert, true);
  }

  <S> Call<Q, A, S> map(Function<R, S> further) {
    return new Call<>(method, request, convert.andThen(further), behindLogs);
  }

  Call<Q, A, R> atOnce() {
    return new Call<>(method, request, convert, false);
  }

  boolean isStreaming() {
    return method.getType() == MethodDescriptor.MethodType.SERVER_STREAMING;
  }
}
