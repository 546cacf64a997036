package dev.runwire.client;

import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ConnectivityState;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import java.util.concurrent.TimeUnit;

/** A real channel, some of whose ways a test changes. */
class ForwardingChannel extends ManagedChannel {
  private final ManagedChannel real;

  ForwardingChannel(String target) {
    real = Grpc.newChannelBuilder(target, InsecureChannelCredentials.create()).build();
  }

  @Override
  public <Q, A> ClientCall<Q, A> newCall(MethodDescriptor<Q, A> method, CallOptions options) {
    return real.newCall(method, options);
  }

  @Override
  public ConnectivityState getState(boolean connect) {
    return real.getState(connect);
  }

  @Override
  public void notifyWhenStateChanged(ConnectivityState from, Runnable then) {
    real.notifyWhenStateChanged(from, then);
  }

  @Override
  public String authority() {
    return real.authority();
  }

  @Override
  public ManagedChannel shutdown() {
    real.shutdown();
    return this;
  }

  @Override
  public ManagedChannel shutdownNow() {
    real.shutdownNow();
    return this;
  }

  @Override
  public boolean isShutdown() {
    return real.isShutdown();
  }

  @Override
  public boolean isTerminated() {
    return real.isTerminated();
  }

  @Override
  public boolean awaitTermination(long timeout, TimeUnit unit) throws InterruptedException {
    return real.awaitTermination(timeout, unit);
  }
}
