package dev.runwire.client;

import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/** What a client does with experiments, and the sending of calls. */
abstract class ExperimentCalls {
  final Core core;
  final long timeout;

  ExperimentCalls(Core core, long timeout) {
    this.core = core;
    this.timeout = timeout;
  }

  final <R> R send(Call<?, ?, R> call) {
    return send(call, Deadline.in(timeout));
  }

  /** Sends a call that is a part of a larger one. */
  final <R> R send(Call<?, ?, R> call, Deadline deadline) {
    return core.sender.send(call, deadline);
  }

  /**
   * Creates an experiment.
   *
   * @param name 1 to 500 characters, unique also among deleted experiments
   * @return the new experiment's id
   * @throws AlreadyExistsException the name is taken ({@code EXPERIMENT_EXISTS})
   */
  public String createExperiment(String name) {
    return createExperiment(name, Map.of());
  }

  /**
   * Creates an experiment with tags.
   *
   * @param name 1 to 500 characters, unique also among deleted experiments
   * @param tags its first tags; values are sent as text
   * @return the new experiment's id
   * @throws AlreadyExistsException the name is taken ({@code EXPERIMENT_EXISTS})
   */
  public String createExperiment(String name, Map<String, ?> tags) {
    return send(Requests.createExperiment(name, tags));
  }

  /**
   * Returns one experiment, deleted or not.
   *
   * @param experimentId the experiment
   * @return the experiment
   * @throws NotFoundException there is none ({@code EXPERIMENT_NOT_FOUND})
   */
  public Experiment getExperiment(String experimentId) {
    return send(Requests.getExperiment(experimentId));
  }

  /**
   * Returns the experiment of a name, deleted or not.
   *
   * @param name the name, exactly
   * @return the experiment; empty if there is none
   */
  public Optional<Experiment> getExperimentByName(String name) {
    try {
      return Optional.of(send(Requests.getExperimentByName(name)));
    } catch (NotFoundException none) {
      return Optional.empty();
    }
  }

  /**
   * Returns the experiment of a name, created if there is none.
   *
   * @param name the name, exactly
   * @return the experiment
   */
  public Experiment getOrCreateExperiment(String name) {
    return getOrCreateExperiment(name, Deadline.in(timeout));
  }

  final Experiment getOrCreateExperiment(String name, Deadline deadline) {
    try {
      return send(Requests.getExperimentByName(name), deadline);
    } catch (NotFoundException none) {
      return send(Requests.getExperiment(createdExperiment(name, deadline)), deadline);
    }
  }

  private String createdExperiment(String name, Deadline deadline) {
    try {
      return send(Requests.createExperiment(name, Map.of()), deadline);
    } catch (AlreadyExistsException faster) {
      // Another process of the same job was.
      return faster.metadata().get("experiment_id");
    }
  }

  /**
   * Returns a page of the experiments that match a filter.
   *
   * @param search what to look for
   * @return the page
   * @throws InvalidArgumentException the filter, order or token can not be read
   */
  public Page<Experiment> searchExperiments(ExperimentSearch search) {
    return send(Requests.searchExperiments(search));
  }

  /**
   * Goes through all experiments that match a filter, page by page as they are needed.
   *
   * @param search what to look for
   * @return the experiments; each iteration asks anew
   */
  public Iterable<Experiment> listExperiments(ExperimentSearch search) {
    Objects.requireNonNull(search, "search");
    return () ->
        new Paging<>(
            token -> searchExperiments(token.isEmpty() ? search : search.pageToken(token)));
  }

  /**
   * Renames an experiment.
   *
   * @param experimentId the experiment
   * @param name its new name
   * @throws AlreadyExistsException another experiment has the name ({@code EXPERIMENT_EXISTS})
   * @throws FailedPreconditionException the experiment is deleted, or is Default
   * @throws NotFoundException there is none ({@code EXPERIMENT_NOT_FOUND})
   */
  public void renameExperiment(String experimentId, String name) {
    send(Requests.renameExperiment(experimentId, name));
  }

  /**
   * Deletes an experiment with its runs, until it is restored or purged.
   *
   * @param experimentId the experiment
   * @throws FailedPreconditionException it is Default ({@code EXPERIMENT_PROTECTED})
   * @throws NotFoundException there is none ({@code EXPERIMENT_NOT_FOUND})
   */
  public void deleteExperiment(String experimentId) {
    send(Requests.deleteExperiment(experimentId));
  }

  /**
   * Takes the deletion of an experiment back. Runs deleted on their own stay deleted.
   *
   * @param experimentId the experiment
   * @throws NotFoundException there is none, or it was purged ({@code EXPERIMENT_NOT_FOUND})
   */
  public void restoreExperiment(String experimentId) {
    send(Requests.restoreExperiment(experimentId));
  }

  /**
   * Sets one tag of an experiment, overwriting it.
   *
   * @param experimentId the experiment
   * @param key the tag
   * @param value its value, sent as text
   * @throws FailedPreconditionException the experiment is deleted ({@code EXPERIMENT_DELETED})
   * @throws NotFoundException there is none ({@code EXPERIMENT_NOT_FOUND})
   */
  public void setExperimentTag(String experimentId, String key, Object value) {
    setExperimentTags(experimentId, Values.one(key, value));
  }

  /**
   * Sets tags of an experiment, overwriting them: all or none.
   *
   * @param experimentId the experiment
   * @param tags the tags; values are sent as text
   * @throws FailedPreconditionException the experiment is deleted ({@code EXPERIMENT_DELETED})
   * @throws NotFoundException there is none ({@code EXPERIMENT_NOT_FOUND})
   */
  public void setExperimentTags(String experimentId, Map<String, ?> tags) {
    send(Requests.setExperimentTags(experimentId, tags));
  }

  /**
   * Removes one tag of an experiment.
   *
   * @param experimentId the experiment
   * @param key the tag
   * @throws FailedPreconditionException the experiment is deleted ({@code EXPERIMENT_DELETED})
   * @throws NotFoundException there is no such experiment or tag ({@code EXPERIMENT_NOT_FOUND},
   *     {@code TAG_NOT_FOUND})
   */
  public void deleteExperimentTag(String experimentId, String key) {
    send(Requests.deleteExperimentTag(experimentId, key));
  }
}
