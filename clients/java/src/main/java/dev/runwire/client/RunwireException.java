package dev.runwire.client;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A call that failed; the base of every error that a server or the way to it causes.
 *
 * <p>There is one subclass for each gRPC status code, and {@link ServerUnavailableException} for a
 * server that is not there. Branch on the class, or on {@link #reason}: a name of {@code
 * ErrorReason} in {@code runwire/v1/error.proto}, such as {@code PARAM_IMMUTABLE}. Arguments that
 * are wrong in themselves throw {@link IllegalArgumentException} or {@link NullPointerException} at
 * the call, before anything is sent.
 */
public abstract class RunwireException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** The code that the class stands for. */
  private final StatusCode code;

  /** Why the call failed. */
  private final String reason;

  /** What the reason speaks of. */
  private final LinkedHashMap<String, String> metadata;

  /** The fields that break a rule. */
  private final ArrayList<Violation> violations;

  /** When a retry may help; null where nobody says. */
  private final Duration retryDelay;

  RunwireException(StatusCode code, Failure failure) {
    super(failure.message, failure.cause);
    this.code = code;
    this.reason = failure.reason;
    this.metadata = new LinkedHashMap<>(failure.metadata);
    this.violations = new ArrayList<>(failure.violations);
    this.retryDelay = failure.retryDelay;
  }

  /**
   * Makes the exception of what a raw call threw.
   *
   * @param thrown a {@code StatusRuntimeException} or {@code StatusException} of gRPC, or what has
   *     one as its cause, as futures throw it
   * @return the exception, of the class of its code, with the details that the server sent
   */
  public static RunwireException of(Throwable thrown) {
    return Statuses.toException(thrown);
  }

  /**
   * Tells the status code.
   *
   * @return the code that the class stands for
   */
  public StatusCode code() {
    return code;
  }

  /**
   * Tells why the call failed, as a name that programs can branch on.
   *
   * @return name of an {@code ErrorReason}, such as {@code RUN_NOT_FOUND}; empty if the failure
   *     carried none
   */
  public String reason() {
    return reason;
  }

  /**
   * Tells what the reason speaks of.
   *
   * @return facts by name, such as {@code run_id}
   */
  public Map<String, String> metadata() {
    return Collections.unmodifiableMap(metadata);
  }

  /**
   * Tells what fields break a rule.
   *
   * @return the fields; empty but for {@link InvalidArgumentException}
   */
  public List<Violation> violations() {
    return Collections.unmodifiableList(violations);
  }

  /**
   * Tells when a retry may help.
   *
   * @return the delay that the server asks for; empty if it does not
   */
  public Optional<Duration> retryDelay() {
    return Optional.ofNullable(retryDelay);
  }

  /** The same failure under another message, with more facts. */
  Failure retold(String message) {
    Failure told = new Failure(message).reason(reason).metadata(metadata).cause(getCause());
    told.violations = List.copyOf(violations);
    told.retryDelay = retryDelay;
    return told;
  }
}
