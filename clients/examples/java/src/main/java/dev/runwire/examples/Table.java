package dev.runwire.examples;

import java.io.IOException;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Columns of numbers, read from a CSV file. */
final class Table {
  private final String text;
  private final List<String> names;
  private final List<String[]> rows = new ArrayList<>();

  Table(Path file) throws IOException {
    text = Files.readString(file);
    List<String> lines = new ArrayList<>(Arrays.asList(text.split("\\R")));
    names = Arrays.asList(lines.remove(0).split(","));
    lines.forEach(line -> rows.add(line.split(",")));
  }

  int size() {
    return rows.size();
  }

  /** A column, shifted and scaled to mean 0 and deviation 1. */
  double[] standardised(String name) {
    double[] column = column(name);
    double mean = Arrays.stream(column).average().orElse(0);
    double variance = Arrays.stream(column).map(x -> (x - mean) * (x - mean)).average().orElse(1);
    return Arrays.stream(column).map(x -> (x - mean) / Math.sqrt(variance)).toArray();
  }

  double[] column(String name) {
    int at = names.indexOf(name);
    return rows.stream().mapToDouble(row -> Double.parseDouble(row[at])).toArray();
  }

  /** A fingerprint of the contents. */
  String digest() {
    try {
      byte[] hash =
          MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
      return String.format("%064x", new BigInteger(1, hash)).substring(0, 16);
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException(impossible);
    }
  }
}
