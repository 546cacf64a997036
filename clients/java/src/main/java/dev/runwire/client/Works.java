package dev.runwire.client;

import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.Set;

/**
 * The works that a client's replayable loggers have: one of them in each attempt.
 *
 * <p>To the server a second one of the same name is the first one again. Within one attempt it is
 * other work under a name that is taken, and all of it would be dropped.
 */
final class Works {
  // Mistakes are made soon; what is long ago need not be known.
  private static final int MOST_KNOWN = 100_000;

  private final Set<String> taken = new LinkedHashSet<>();

  synchronized void take(String writerId, String attempt, String runId) {
    if (!taken.add(name(writerId, attempt))) {
      throw new IllegalStateException(
          "the work "
              + writerId
              + " of the run "
              + runId
              + " is logged already, and what is logged under its name again would be dropped: give"
              + " other work another name, and a further attempt at this work an attempt of its"
              + " own");
    }
    if (taken.size() > MOST_KNOWN) {
      Iterator<String> oldest = taken.iterator();
      oldest.next();
      oldest.remove();
    }
  }

  /** Takes note that an attempt failed: what follows is a repeat, whoever makes it. */
  synchronized void giveBack(String writerId, String attempt) {
    taken.remove(name(writerId, attempt));
  }

  private static String name(String writerId, String attempt) {
    return writerId + " " + attempt;
  }
}
