package dev.runwire.shading;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.runwire.client.ServerExtension;
import dev.runwire.client.ServerProcess;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.List;
import java.util.jar.JarFile;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@ExtendWith(ServerExtension.class)
class ShadedJarIT {
  private static final Path JAR = Paths.get(System.getProperty("shaded.jar"));
  private static final Path OLD = Paths.get(System.getProperty("old.protobuf.jar"));

  private static String run(String address, Path folder, Path... jars)
      throws IOException, InterruptedException {
    StringBuilder path =
        new StringBuilder(
            CrowdedProgram.class.getProtectionDomain().getCodeSource().getLocation().getPath());
    for (Path jar : jars) {
      path.append(File.pathSeparator).append(jar);
    }
    String java = Paths.get(System.getProperty("java.home"), "bin", "java").toString();
    ProcessBuilder builder =
        new ProcessBuilder(java, "-cp", path.toString(), CrowdedProgram.class.getName(), address)
            .redirectErrorStream(true);
    builder.environment().put("RUNWIRE_SPOOL_DIR", folder.toString());
    Process process = builder.start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), said);
    return said;
  }

  private static void assertWorked(String said) {
    assertTrue(said.contains("old=old.proto\n"), said);
    assertTrue(said.contains("from=old-protobuf.jar\n"), said);
    assertTrue(said.contains("client=" + JAR.getFileName() + "\n"), said);
    assertTrue(said.contains("points=1000\n"), said);
    assertTrue(said.contains("reason=RUN_NOT_FOUND\n"), said);
  }

  @Test
  void worksInFrontOfAnOldProtobuf(ServerProcess server, @TempDir Path folder) throws Exception {
    assertWorked(run(server.address(), folder, JAR, OLD));
  }

  @Test
  void worksBehindAnOldProtobuf(ServerProcess server, @TempDir Path folder) throws Exception {
    assertWorked(run(server.address(), folder, OLD, JAR));
  }

  @Test
  void worksOverSocketsWithTheNativeTransport(@TempDir Path folder) throws Exception {
    String socket = "unix:" + folder.resolve("s");
    try (ServerProcess server =
        new ServerProcess(folder.resolve("server"), "--unix-socket", folder.resolve("s").toString())
            .start()) {
      assertTrue(!server.address().isEmpty());
      assertWorked(run(socket, folder.resolve("spool"), JAR, OLD));
    }
  }

  @Test
  void holdsNothingUnderTheNamesOfOthers() throws IOException {
    try (JarFile jar = new JarFile(JAR.toFile())) {
      List<String> foreign =
          jar.stream()
              .filter(entry -> !entry.isDirectory())
              .map(entry -> entry.getName())
              .filter(name -> !name.startsWith("dev/runwire/") && !name.startsWith("META-INF/"))
              .collect(Collectors.toList());
      assertEquals(List.of(), foreign);
      List<String> services =
          jar.stream()
              .map(entry -> entry.getName())
              .filter(name -> name.startsWith("META-INF/services/") && !name.endsWith("/"))
              .filter(name -> !name.startsWith("META-INF/services/dev.runwire.shaded."))
              .filter(name -> !name.startsWith("META-INF/services/reactor."))
              .collect(Collectors.toList());
      assertEquals(List.of(), services);
    }
  }
}
