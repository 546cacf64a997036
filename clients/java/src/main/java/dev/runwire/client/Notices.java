package dev.runwire.client;

/** Tells people on standard error what no call can throw. */
final class Notices {
  private Notices() {}

  static void tell(String sentence) {
    System.err.println("runwire: " + sentence);
  }
}
