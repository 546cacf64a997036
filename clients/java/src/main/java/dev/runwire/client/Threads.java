package dev.runwire.client;

/** Makes the threads of a client's own. */
final class Threads {
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
}
