package dev.runwire.client;

import java.util.Iterator;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/**
 * A page of a search.
 *
 * @param <T> what was searched for
 */
public final class Page<T> implements Iterable<T> {
  private final List<T> items;
  private final Optional<String> nextPageToken;

  Page(List<T> items, Optional<String> nextPageToken) {
    this.items = List.copyOf(items);
    this.nextPageToken = Objects.requireNonNull(nextPageToken, "nextPageToken");
  }

  /**
   * Tells what the page holds.
   *
   * @return what the page holds
   */
  public List<T> items() {
    return items;
  }

  /**
   * Tells what asks for the next page; empty on the last.
   *
   * @return what asks for the next page; empty on the last
   */
  public Optional<String> nextPageToken() {
    return nextPageToken;
  }

  static <T> Page<T> of(List<T> items, String token) {
    return new Page<>(items, token.isEmpty() ? Optional.empty() : Optional.of(token));
  }

  @Override
  public Iterator<T> iterator() {
    return items.iterator();
  }

  @Override
  public boolean equals(Object other) {
    if (this == other) {
      return true;
    }
    if (!(other instanceof Page)) {
      return false;
    }
    Page<?> that = (Page<?>) other;
    return items.equals(that.items) && nextPageToken.equals(that.nextPageToken);
  }

  @Override
  public int hashCode() {
    return Objects.hash(items, nextPageToken);
  }

  @Override
  public String toString() {
    return "Page[items=" + items + ", nextPageToken=" + nextPageToken + "]";
  }
}
