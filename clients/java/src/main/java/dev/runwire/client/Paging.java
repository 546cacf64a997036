package dev.runwire.client;

import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.function.Function;

/** Goes through all pages of a search, asking for each as it is needed. */
final class Paging<T> implements Iterator<T> {
  private final Function<String, Page<T>> ask;
  private Iterator<T> items = List.<T>of().iterator();
  private String token = "";

  /**
   * Makes the iterator.
   *
   * @param ask gets the page of a token
   */
  Paging(Function<String, Page<T>> ask) {
    this.ask = ask;
  }

  @Override
  public boolean hasNext() {
    while (!items.hasNext() && token != null) {
      Page<T> page = ask.apply(token);
      items = page.iterator();
      token = page.nextPageToken().orElse(null);
    }
    return items.hasNext();
  }

  @Override
  public T next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    return items.next();
  }
}
