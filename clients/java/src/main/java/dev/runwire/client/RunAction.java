package dev.runwire.client;

/**
 * What is done in a run.
 *
 * @param <E> what it may throw
 */
@FunctionalInterface
public interface RunAction<E extends Exception> {
  /**
   * Does it.
   *
   * @param run the run, which is ended by who called this
   * @throws E it failed, and with it the run
   */
  void accept(ActiveRun run) throws E;
}
