package dev.runwire.client;

import java.util.Objects;

/** A data set in the role of a run's input. */
public final class DatasetInput {
  private final Dataset dataset;
  private final String context;

  DatasetInput(Dataset dataset, String context) {
    this.dataset = Objects.requireNonNull(dataset, "dataset");
    this.context = Objects.requireNonNull(context, "context");
  }

  /**
   * Tells the data set.
   *
   * @return the data set
   */
  public Dataset dataset() {
    return dataset;
  }

  /**
   * Tells what the run uses it for, such as {@code training}; empty if not given.
   *
   * @return what the run uses it for, such as {@code training}; empty if not given
   */
  public String context() {
    return context;
  }

  /**
   * Makes an input of a data set, without saying what it is used for.
   *
   * @param dataset the data set
   * @return the input
   */
  public static DatasetInput of(Dataset dataset) {
    return new DatasetInput(dataset, "");
  }

  /**
   * Makes an input of a data set.
   *
   * @param dataset the data set
   * @param context what the run uses it for, such as {@code training}
   * @return the input
   */
  public static DatasetInput of(Dataset dataset, String context) {
    return new DatasetInput(dataset, context);
  }

  @Override
  public boolean equals(Object other) {
    if (this == other) {
      return true;
    }
    if (!(other instanceof DatasetInput)) {
      return false;
    }
    DatasetInput that = (DatasetInput) other;
    return dataset.equals(that.dataset) && context.equals(that.context);
  }

  @Override
  public int hashCode() {
    return Objects.hash(dataset, context);
  }

  @Override
  public String toString() {
    return "DatasetInput[dataset=" + dataset + ", context=" + context + "]";
  }
}
