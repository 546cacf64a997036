package dev.runwire.client;

import java.util.Collection;
import java.util.List;
import java.util.Objects;

/** What runs to look for. Each method returns a copy. */
public final class RunSearch {
  private final List<String> experimentIds;
  private final String filter;
  private final List<String> orderBy;
  private final LifecycleView view;
  private final int pageSize;
  private final String pageToken;
  private final RunMask mask;

  /** Makes one in which nothing is given. */
  public RunSearch() {
    this(List.of(), "", List.of(), LifecycleView.ACTIVE_ONLY, 1000, "", new RunMask());
  }

  private RunSearch(
      List<String> experimentIds,
      String filter,
      List<String> orderBy,
      LifecycleView view,
      int pageSize,
      String pageToken,
      RunMask mask) {
    this.experimentIds = experimentIds;
    this.filter = filter;
    this.orderBy = orderBy;
    this.view = view;
    this.pageSize = pageSize;
    this.pageToken = pageToken;
    this.mask = mask;
  }

  /**
   * Gives the experiments to look in, 1 to 100.
   *
   * @param experimentIds the experiments to look in, 1 to 100
   * @return a copy with it
   */
  public RunSearch experimentIds(Collection<String> experimentIds) {
    return new RunSearch(
        Values.list("experimentIds", experimentIds),
        filter,
        orderBy,
        view,
        pageSize,
        pageToken,
        mask);
  }

  /**
   * Gives the filter, such as {@code metrics.loss < 0.1 AND params.model = 'x'}; empty matches all.
   *
   * @param filter the filter, such as {@code metrics.loss < 0.1 AND params.model = 'x'}
   * @return a copy with it
   */
  public RunSearch filter(String filter) {
    return new RunSearch(
        experimentIds,
        Objects.requireNonNull(filter, "filter"),
        orderBy,
        view,
        pageSize,
        pageToken,
        mask);
  }

  /**
   * Gives the order, such as {@code metrics.loss ASC}; by default the newest come first.
   *
   * @param orderBy the order, such as {@code metrics.loss ASC}
   * @return a copy with it
   */
  public RunSearch orderBy(Collection<String> orderBy) {
    return new RunSearch(
        experimentIds, filter, Values.list("orderBy", orderBy), view, pageSize, pageToken, mask);
  }

  /**
   * Gives the lifecycle stages to look at; those that are active by default.
   *
   * @param view ACTIVE_ONLY, DELETED_ONLY or ALL
   * @return a copy with it
   */
  public RunSearch view(LifecycleView view) {
    return new RunSearch(
        experimentIds,
        filter,
        orderBy,
        Objects.requireNonNull(view, "view"),
        pageSize,
        pageToken,
        mask);
  }

  /**
   * Gives the most runs in a page; 1,000 by default.
   *
   * @param pageSize 1 to 1,000
   * @return a copy with it
   */
  public RunSearch pageSize(int pageSize) {
    return new RunSearch(experimentIds, filter, orderBy, view, pageSize, pageToken, mask);
  }

  /**
   * Gives the token of the page before; empty for the first page.
   *
   * @param pageToken what {@link Page#nextPageToken} of that page says
   * @return a copy with it
   */
  public RunSearch pageToken(String pageToken) {
    return new RunSearch(
        experimentIds,
        filter,
        orderBy,
        view,
        pageSize,
        Objects.requireNonNull(pageToken, "pageToken"),
        mask);
  }

  /**
   * Gives the parts of each run to return; all by default.
   *
   * @param mask the parts; what is not asked for is empty in the runs
   * @return a copy with it
   */
  public RunSearch mask(RunMask mask) {
    return new RunSearch(
        experimentIds,
        filter,
        orderBy,
        view,
        pageSize,
        pageToken,
        Objects.requireNonNull(mask, "mask"));
  }

  List<String> experimentIds() {
    return experimentIds;
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

  RunMask mask() {
    return mask;
  }
}
