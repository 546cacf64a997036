package dev.runwire.client;

/** Makes the threads of a client's own, and waits for them. */
final class Threads {
  private static final long LOOK_MILLISECONDS = 50;

  private Threads() {}

  /**
   * Makes a thread that no process waits for.
   *
   * <p>It is of the outermost group: build tools that run a program in their own JVM interrupt what
   * is left in its group once it has ended, and destroy the group. A thread that is interrupted can
   * not write files, and one of a destroyed group can not start.
   */
  static Thread daemon(Runnable task, String name) {
    ThreadGroup group = Thread.currentThread().getThreadGroup();
    while (group.getParent() != null) {
      group = group.getParent();
    }
    Thread made = new Thread(group, task, name);
    made.setDaemon(true);
    return made;
  }

  /** Waits for a thread to end, for some time, and so long also if the caller is interrupted. */
  static void join(Thread thread, long milliseconds) {
    boolean interrupted = false;
    // By and by: a machine that stands still takes one look away, and not all of the time.
    for (long waited = 0; thread.isAlive() && waited < milliseconds; waited += LOOK_MILLISECONDS) {
      try {
        thread.join(LOOK_MILLISECONDS);
      } catch (InterruptedException stray) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
