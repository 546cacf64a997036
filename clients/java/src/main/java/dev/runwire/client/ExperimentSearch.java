package dev.runwire.client;

import java.util.Collection;
import java.util.List;
import java.util.Objects;

/** What experiments to look for. Each method returns a copy. */
public final class ExperimentSearch {
  private final String filter;
  private final List<String> orderBy;
  private final LifecycleView view;
  private final int pageSize;
  private final String pageToken;

  /** Makes one in which nothing is given. */
  public ExperimentSearch() {
    this("", List.of(), LifecycleView.ACTIVE_ONLY, 1000, "");
  }

  private ExperimentSearch(
      String filter, List<String> orderBy, LifecycleView view, int pageSize, String pageToken) {
    this.filter = filter;
    this.orderBy = orderBy;
    this.view = view;
    this.pageSize = pageSize;
    this.pageToken = pageToken;
  }

  /**
   * Gives the filter, such as {@code name LIKE 'wine%' AND tags.team = 'blue'}; empty matches all.
   *
   * @param filter the filter, such as {@code name LIKE 'wine%' AND tags.team = 'blue'}
   * @return a copy with it
   */
  public ExperimentSearch filter(String filter) {
    return new ExperimentSearch(
        Objects.requireNonNull(filter, "filter"), orderBy, view, pageSize, pageToken);
  }

  /**
   * Gives the order, such as {@code name ASC}; by default the newest come first.
   *
   * @param orderBy the order, such as {@code name ASC}
   * @return a copy with it
   */
  public ExperimentSearch orderBy(Collection<String> orderBy) {
    return new ExperimentSearch(filter, Values.list("orderBy", orderBy), view, pageSize, pageToken);
  }

  /**
   * Gives the lifecycle stages to look at; those that are active by default.
   *
   * @param view ACTIVE_ONLY, DELETED_ONLY or ALL
   * @return a copy with it
   */
  public ExperimentSearch view(LifecycleView view) {
    return new ExperimentSearch(
        filter, orderBy, Objects.requireNonNull(view, "view"), pageSize, pageToken);
  }

  /**
   * Gives the most experiments in a page; 1,000 by default.
   *
   * @param pageSize 1 to 1,000
   * @return a copy with it
   */
  public ExperimentSearch pageSize(int pageSize) {
    return new ExperimentSearch(filter, orderBy, view, pageSize, pageToken);
  }

  /**
   * Gives the token of the page before; empty for the first page.
   *
   * @param pageToken what {@link Page#nextPageToken} of that page says
   * @return a copy with it
   */
  public ExperimentSearch pageToken(String pageToken) {
    return new ExperimentSearch(
        filter, orderBy, view, pageSize, Objects.requireNonNull(pageToken, "pageToken"));
  }

  String filter() {
    return filter;
  }

  List<String> orderBy() {
    return orderBy;
  }

  LifecycleView view() {
    return view;
  }

  int pageSize() {
    return pageSize;
  }

  String pageToken() {
    return pageToken;
  }
}
