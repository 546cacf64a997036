package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.reflect.Constructor;
import java.lang.reflect.Executable;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class SurfaceTest {
  // What leads to raw calls, and what lets a caller bring a channel.
  private static final Set<String> HATCHES =
      Set.of(
          "io.grpc.Channel RunwireClient.channel()",
          "RunwireClient$Builder RunwireClient$Builder.channel(io.grpc.ManagedChannel)");

  private static List<Class<?>> shown() throws IOException, URISyntaxException {
    Path classes =
        Paths.get(RunwireClient.class.getProtectionDomain().getCodeSource().getLocation().toURI());
    try (Stream<Path> files = Files.list(classes.resolve("dev/runwire/client"))) {
      return files
          .map(file -> file.getFileName().toString())
          .filter(name -> name.endsWith(".class") && !name.equals("package-info.class"))
          .map(name -> load("dev.runwire.client." + name.substring(0, name.length() - 6)))
          .filter(SurfaceTest::isShown)
          .collect(Collectors.toList());
    }
  }

  private static Class<?> load(String name) {
    try {
      return Class.forName(name);
    } catch (ClassNotFoundException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  private static boolean isShown(Class<?> kind) {
    Class<?> around = kind.getEnclosingClass();
    return isShown(kind.getModifiers()) && (around == null || isShown(around));
  }

  private static boolean isShown(int modifiers) {
    return Modifier.isPublic(modifiers) || Modifier.isProtected(modifiers);
  }

  private static String signature(Executable member) {
    List<Type> types = new ArrayList<>(Arrays.asList(member.getGenericParameterTypes()));
    String given =
        types.stream().map(SurfaceTest::named).collect(Collectors.joining(", ", "(", ")"));
    String kind = member.getDeclaringClass().getTypeName().replace("dev.runwire.client.", "");
    return member instanceof Method
        ? named(((Method) member).getGenericReturnType())
            + " "
            + kind
            + "."
            + member.getName()
            + given
        : kind + given;
  }

  private static String named(Type type) {
    return type.getTypeName().replace("dev.runwire.client.", "");
  }

  /** The members of all that is public, bridges included: those of parents that are not. */
  private static Set<String> signatures() throws IOException, URISyntaxException {
    Set<String> found = new TreeSet<>();
    for (Class<?> kind : shown()) {
      for (Constructor<?> made : kind.getDeclaredConstructors()) {
        if (isShown(made.getModifiers())) {
          found.add(signature(made));
        }
      }
      for (Method method : kind.getMethods()) {
        if (method.getDeclaringClass().getName().startsWith("dev.runwire.")) {
          found.add(signature(method));
        }
      }
    }
    return found;
  }

  @Test
  void nothingOfProtobufOrGrpcIsInSightButTheWayToRawCalls() throws Exception {
    Set<String> foreign =
        signatures().stream()
            .filter(one -> one.matches(".*\\b(com\\.google|io\\.grpc|dev\\.runwire\\.v1)\\b.*"))
            .collect(Collectors.toSet());
    assertEquals(HATCHES, foreign);
  }

  @Test
  void whatIsReadIsImmutable() throws Exception {
    for (Class<?> kind : shown()) {
      if (kind.getEnclosingClass() != null) {
        continue;
      }
      for (Field field : kind.getDeclaredFields()) {
        assertTrue(
            !isShown(field.getModifiers()) || Modifier.isFinal(field.getModifiers()),
            kind + " lets others write " + field);
      }
    }
  }
}
