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
import java.lang.reflect.TypeVariable;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class SurfaceTest {
  // What leads to raw calls, and what lets a caller bring a channel.
  private static final Set<String> HATCHES =
      Set.of(
          "public io.grpc.Channel RunwireClient.channel()",
          "public RunwireClient$Builder RunwireClient$Builder.channel(io.grpc.ManagedChannel)");
  private static final String FOREIGN =
      ".*\\b(com\\.google|io\\.grpc|io\\.netty|dev\\.runwire\\.v1)\\b.*";

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

  /** All that a user of a class sees of it, as Java writes it, generics and exceptions included. */
  private static Set<String> signatures(Class<?> kind) {
    Set<String> found = new TreeSet<>();
    found.add(kind + " " + bounds(kind.getTypeParameters()));
    found.add(kind + " extends " + kind.getGenericSuperclass());
    found.add(kind + " implements " + Arrays.toString(kind.getGenericInterfaces()));
    Class<?> parent = kind;
    // Parents that are not shown themselves show what they hand down.
    while (parent != null && parent.getName().startsWith("dev.runwire.")) {
      Stream.of(parent.getDeclaredFields())
          .filter(field -> isShown(field.getModifiers()))
          .forEach(field -> found.add(field.toGenericString()));
      Stream.of(parent.getDeclaredMethods())
          .filter(method -> isShown(method.getModifiers()))
          .forEach(method -> found.add(signature(method)));
      parent = parent.getSuperclass();
    }
    for (Constructor<?> made : kind.getDeclaredConstructors()) {
      if (isShown(made.getModifiers())) {
        found.add(signature(made));
      }
    }
    return found;
  }

  private static String signature(Executable member) {
    return member.toGenericString() + " " + bounds(member.getTypeParameters());
  }

  private static String bounds(TypeVariable<?>[] variables) {
    return Stream.of(variables)
        .flatMap(variable -> Stream.of(variable.getBounds()))
        .map(Type::getTypeName)
        .filter(name -> !name.equals("java.lang.Object"))
        .collect(Collectors.joining(", "));
  }

  private static Set<String> foreign(Class<?> kind) {
    return signatures(kind).stream()
        .filter(one -> one.matches(FOREIGN))
        .map(one -> one.replace("dev.runwire.client.", "").replace("final ", "").strip())
        .collect(Collectors.toSet());
  }

  @Test
  void nothingOfProtobufOrGrpcIsInSightButTheWayToRawCalls() throws Exception {
    Set<String> found = new TreeSet<>();
    for (Class<?> kind : shown()) {
      found.addAll(foreign(kind));
    }
    assertEquals(new TreeSet<>(HATCHES), found);
  }

  /** Shows a foreign type in each way that there is. */
  protected abstract static class Leaky<T extends io.grpc.Channel> extends io.grpc.ClientCall<T, T>
      implements Supplier<List<? extends io.grpc.Channel>> {
    protected io.grpc.Status field;

    protected Leaky(io.grpc.Status given) {}

    protected abstract Map<String, io.grpc.Status[]> returned();

    protected abstract void thrown() throws io.grpc.StatusException;

    protected abstract <B extends io.grpc.Channel> void bound(B given);
  }

  @Test
  void nothingForeignIsOverlooked() {
    String text = String.join("\n", foreign(Leaky.class));
    for (String part :
        List.of(
            "Leaky io",
            "extends",
            "implements",
            "field",
            "Leaky(",
            "returned",
            "thrown",
            "bound")) {
      assertTrue(text.contains(part), part + " is not in " + text);
    }
  }

  @Test
  void whatIsReadIsImmutable() throws Exception {
    for (Class<?> kind : shown()) {
      for (Field field : kind.getDeclaredFields()) {
        assertTrue(
            !isShown(field.getModifiers()) || Modifier.isFinal(field.getModifiers()),
            kind + " lets others write " + field);
      }
    }
  }

  /** Overwrites all that a value hands out. */
  private static void overwrite(Object value) throws ReflectiveOperationException {
    for (Method method : value.getClass().getMethods()) {
      if (method.getParameterCount() > 0) {
        continue;
      }
      if (method.getReturnType() == long[].class) {
        Arrays.fill((long[]) method.invoke(value), 77);
      } else if (method.getReturnType() == double[].class) {
        Arrays.fill((double[]) method.invoke(value), 77);
      } else if (method.getReturnType() == Map.class) {
        ((Map<?, ?>) method.invoke(value))
            .values()
            .forEach(column -> Arrays.fill((double[]) column, 77));
      }
    }
  }

  @Test
  void columnsThatAreHandedOutAreCopies() throws Exception {
    Supplier<MetricHistory> history =
        () ->
            new MetricHistory("r", "m", new long[] {1}, new long[] {2}, new double[] {Double.NaN});
    Supplier<NewPoints> points =
        () -> new NewPoints("r", new long[] {1}, new long[] {2}, Map.of("m", new double[] {3}));
    Supplier<MetricCurve> curve =
        () -> {
          long[] x = {1};
          double[] y = {2};
          return new MetricCurve("r", "m", CurveAxis.STEP, 1, x, x, x, x, y, y, y, y, x, x);
        };
    for (Supplier<?> make : List.of(history, points, curve)) {
      Object value = make.get();
      assertEquals(make.get(), value);
      assertEquals(make.get().hashCode(), value.hashCode());
      overwrite(value);
      assertEquals(make.get(), value);
    }
    assertEquals(1, history.get().step(0));
    assertEquals(2, history.get().timestamp(0));
    assertEquals(Double.NaN, history.get().value(0));
  }
}
