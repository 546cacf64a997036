package dev.runwire.shading;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.runwire.client.ServerExtension;
import dev.runwire.client.ServerProcess;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@ExtendWith(ServerExtension.class)
class ShadedJarIT {
  private static final Path JAR = Paths.get(System.getProperty("shaded.jar"));
  private static final String SHADED = "dev/runwire/shaded/";
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

  private static String text(JarFile jar, String name) throws IOException {
    JarEntry entry = jar.getJarEntry(name);
    assertNotNull(entry, name);
    return new String(jar.getInputStream(entry).readAllBytes(), StandardCharsets.UTF_8);
  }

  @Test
  void holdsTheLicensesOfAllThatIsInIt() throws IOException {
    try (JarFile jar = new JarFile(JAR.toFile())) {
      assertTrue(text(jar, "META-INF/LICENSE").contains("Apache License"));
      assertTrue(text(jar, "META-INF/licenses/protobuf.txt").contains("Google Inc."));
      assertTrue(text(jar, "META-INF/license/LICENSE.boringssl.txt").contains("Apache License"));
      String notice = text(jar, "META-INF/NOTICE");
      assertTrue(notice.contains("Runwire") && notice.contains("Netty"), notice);
      String told = text(jar, "META-INF/THIRD-PARTY.txt");
      Map<String, String> artifacts =
          Map.of(
              "io/grpc/netty/shaded/io/netty/", "io.netty",
              "io/grpc/", "io.grpc",
              "io/perfmark/", "io.perfmark",
              "com/google/protobuf/", "com.google.protobuf",
              "com/google/common/", "com.google.guava",
              "com/google/thirdparty/publicsuffix/", "com.google.guava",
              "com/google/gson/", "com.google.code.gson",
              "com/google/", "com.google.api.grpc");
      Set<String> found =
          jar.stream()
              .map(JarEntry::getName)
              .filter(name -> name.startsWith(SHADED) && name.endsWith(".class"))
              .map(name -> artifact(artifacts, name.substring(SHADED.length())))
              .collect(Collectors.toSet());
      assertEquals(Set.copyOf(artifacts.values()), found);
      found.forEach(artifact -> assertTrue(told.contains(" " + artifact + " "), artifact));
    }
  }

  /** Tells whose a class is, by the longest prefix of its name. */
  private static String artifact(Map<String, String> artifacts, String name) {
    return artifacts.keySet().stream()
        .filter(name::startsWith)
        .max(Comparator.comparing(String::length))
        .map(artifacts::get)
        .orElse(name);
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
