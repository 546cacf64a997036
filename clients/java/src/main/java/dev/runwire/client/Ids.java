package dev.runwire.client;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;

/** Ids and names that the client mints. */
final class Ids {
  private static final String[] ADJECTIVES =
      ("amber brave bright calm clever crisp curious dapper eager fleet gentle golden grand happy"
              + " honest humble keen kind lively loyal lucid mellow merry mighty nimble noble"
              + " patient placid polite proud quick quiet")
          .split(" ");
  private static final String[] NOUNS =
      ("badger beaver bison condor crane dolphin eagle egret falcon ferret finch fox gecko gull"
              + " hare hawk heron ibex jay kestrel koala lark lemur lynx marten mink moose newt"
              + " ocelot orca osprey otter owl panda pike")
          .split(" ");
  private static final SecureRandom RANDOM = new SecureRandom();

  private Ids() {}

  /** Makes a UUID of version 7 (RFC 9562): unix milliseconds, then 74 random bits. */
  static UUID uuid7() {
    long high = (System.currentTimeMillis() << 16) | 0x7000 | (RANDOM.nextLong() & 0xFFF);
    long low = (RANDOM.nextLong() & 0x3FFF_FFFF_FFFF_FFFFL) | 0x8000_0000_0000_0000L;
    return new UUID(high, low);
  }

  /** Makes a run id or writer id. */
  static String hex() {
    return uuid7().toString().replace("-", "");
  }

  /** Makes a name of a run such as {@code brave-otter-417}, as the server does. */
  static String readable() {
    ThreadLocalRandom chance = ThreadLocalRandom.current();
    return ADJECTIVES[chance.nextInt(ADJECTIVES.length)]
        + "-"
        + NOUNS[chance.nextInt(NOUNS.length)]
        + "-"
        + chance.nextInt(1000);
  }

  static byte[] sha256(byte[] data) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(data);
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException("every Java platform has SHA-256", impossible);
    }
  }

  static String sha256Hex(String text, int digits) {
    return toHex(sha256(text.getBytes(StandardCharsets.UTF_8))).substring(0, digits);
  }

  static String toHex(byte[] data) {
    StringBuilder text = new StringBuilder(2 * data.length);
    for (byte one : data) {
      text.append(Character.forDigit((one >> 4) & 15, 16)).append(Character.forDigit(one & 15, 16));
    }
    return text.toString();
  }

  static byte[] fromHex(String text) {
    byte[] data = new byte[text.length() / 2];
    for (int i = 0; i < data.length; i++) {
      data[i] = (byte) Integer.parseInt(text.substring(2 * i, 2 * i + 2), 16);
    }
    return data;
  }
}
