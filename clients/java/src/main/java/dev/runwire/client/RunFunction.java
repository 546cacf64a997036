package dev.runwire.client;

/**
 * What is done in a run, with a result.
 *
 * @param <T> the result
 * @param <E> what it may throw
 */
@FunctionalInterface
public interface RunFunction<T, E extends Exception> {
  /**
   * Does it.
   *
   * @param run the run, which is ended by who called this
   * @return the result
   * @throws E it failed, and with it the run
   */
  T apply(ActiveRun run) throws E;
}
