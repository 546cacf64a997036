package dev.runwire.client;

import java.io.Serializable;
import java.util.Objects;

/** One field of a request that breaks a rule. */
public final class Violation implements Serializable {
  private static final long serialVersionUID = 1L;

  /** The path of the field. */
  private final String field;

  /** What is wrong with it. */
  private final String description;

  Violation(String field, String description) {
    this.field = Objects.requireNonNull(field, "field");
    this.description = Objects.requireNonNull(description, "description");
  }

  /**
   * Tells the path of the field in the request, such as {@code params[3].key}.
   *
   * @return the path of the field in the request, such as {@code params[3].key}
   */
  public String field() {
    return field;
  }

  /**
   * Tells the rule that it breaks, in one sentence.
   *
   * @return the rule that it breaks, in one sentence
   */
  public String description() {
    return description;
  }

  @Override
  public boolean equals(Object other) {
    if (this == other) {
      return true;
    }
    if (!(other instanceof Violation)) {
      return false;
    }
    Violation that = (Violation) other;
    return field.equals(that.field) && description.equals(that.description);
  }

  @Override
  public int hashCode() {
    return Objects.hash(field, description);
  }

  @Override
  public String toString() {
    return "Violation[field=" + field + ", description=" + description + "]";
  }
}
