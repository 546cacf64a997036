package dev.runwire.client;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;

/** Gives tests a server that all of them share, as a parameter; none may stop it. */
public final class ServerExtension implements ParameterResolver {
  private static final class Shared implements AutoCloseable {
    private final ServerProcess server;

    Shared() {
      try {
        Path folder = Files.createTempDirectory("runwire-server");
        server = new ServerProcess(folder).start();
      } catch (java.io.IOException failed) {
        throw new java.io.UncheckedIOException(failed);
      }
    }

    @Override
    public void close() {
      server.close();
    }
  }

  @Override
  public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
    return parameter.getParameter().getType() == ServerProcess.class;
  }

  @Override
  public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
    return context
        .getRoot()
        .getStore(ExtensionContext.Namespace.GLOBAL)
        .getOrComputeIfAbsent(Shared.class.getName(), key -> new Shared(), Shared.class)
        .server;
  }
}
