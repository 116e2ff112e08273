/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.batching.ModelPool;
import io.github.flinkdiffusion.ops.batching.OversizedModelException;
import io.github.flinkdiffusion.ops.batching.SessionListener;
import io.github.flinkdiffusion.ops.pipeline.Model;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.externalresource.ExternalResourceInfo;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One task's share of the models that its requests may name, in the versions that there are of
 * them. A request gets the current version of its model, and one that was begun before a restart
 * the version that it was begun on, if that can still be opened.
 *
 * <p>Any thread may call; only {@link #open} waits.
 */
@Internal
public final class TaskModels implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(TaskModels.class);

  private final ModelList list;
  private final ModelPool pool;
  private final ModelPool.Member member;

  /** By the models' names. Guarded by this, as all below. */
  private final Map<String, ModelVersions> versions = new TreeMap<>();

  /** What each model has said of itself when it was loaded, by the sources' names. */
  private final Map<String, Model> seen = new HashMap<>();

  /** What keeps a model from being loaded, whatever is tried, by the sources' names. */
  private final Map<String, UnusableModelException> unusable = new HashMap<>();

  private final Set<Waiting> waiting = new HashSet<>();

  /** Of versions, by the model's name and the folder. */
  private final Map<List<String>, PipelineFactory> sources = new HashMap<>();

  /** A request for which the current version of a model is being loaded. */
  private static final class Waiting {
    final String name;
    final CompletableFuture<ModelPool.Use> answer = new CompletableFuture<>();
    CompletableFuture<ModelPool.Use> loading;

    Waiting(String name) {
      this.name = name;
    }
  }

  /**
   * @param gpus what Flink's external resource framework says
   * @param subtask index of the subtask, which spreads them over the GPUs
   * @param listener told of calls and of failed devices
   */
  public TaskModels(
      ModelList list,
      DiffusionSettings settings,
      ModelPool pool,
      Collection<ExternalResourceInfo> gpus,
      int subtask,
      SessionListener listener) {
    this.list = list;
    this.pool = pool;
    this.member =
        pool.join(
            list.get(ModelList.DEFAULT)
                .resolve(DevicePlacement.choose(settings.device(), gpus, subtask)),
            settings.modelsMemory(),
            settings.batch(),
            settings.patience(),
            settings.keepModel(),
            listener);
    list.names().forEach(name -> versions.put(name, ModelVersions.of(list.get(name).model())));
  }

  /**
   * Goes on with the versions of a checkpoint; before any use. Models that the list has no more are
   * left out.
   */
  public synchronized void restore(Map<String, ModelVersions> saved) {
    saved.forEach(
        (name, known) ->
            versions.computeIfPresent(
                name, (any, configured) -> known.under(configured.configured())));
  }

  /** For a checkpoint: of the models that there was an event for. */
  public synchronized SortedMap<String, ModelVersions> versions() {
    SortedMap<String, ModelVersions> changed = new TreeMap<>(versions);
    changed.values().removeIf(known -> known.known().size() == 1);
    return changed;
  }

  /** Of one model. */
  public synchronized ModelVersions versions(String name) {
    list.get(name);
    return versions.get(name);
  }

  /** How a version comes to be loaded. */
  public synchronized PipelineFactory source(String name, ModelVersion version) {
    return version.folder().isEmpty()
        ? list.get(name)
        : sources.computeIfAbsent(
            List.of(name, version.folder().get()),
            place -> list.get(name).at(version.folder().get()));
  }

  // ------------------------------------------------------------------ for requests

  /**
   * The model of requests that name none: waits until it is loaded.
   *
   * @throws UnusableModelException if it cannot be loaded, now or after any restart
   */
  public ModelPool.Use open() throws InterruptedException {
    try {
      return use(ModelList.DEFAULT).get();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof OversizedModelException) {
        throw new UnusableModelException(e.getCause().getMessage(), e.getCause());
      }
      if (e.getCause() instanceof RuntimeException known) {
        throw known;
      }
      throw new CompletionException(e.getCause());
    }
  }

  /**
   * Asks for the current version of a model, for one request.
   *
   * @return as {@link ModelPool.Member#use} does
   * @throws io.github.flinkdiffusion.ops.pipeline.InvalidRequestException if there is none of that
   *     name
   */
  public CompletableFuture<ModelPool.Use> use(String name) {
    list.get(name);
    Waiting request = new Waiting(name);
    ask(request);
    request.answer.whenComplete((use, failure) -> leave(request));
    return request.answer;
  }

  /**
   * Asks for the version of a model that a request was begun on; for the current one if it is not
   * known, or cannot be opened any more.
   *
   * @param begunOn digest of that version
   */
  public CompletableFuture<ModelPool.Use> use(String name, Optional<String> begunOn) {
    list.get(name);
    PipelineFactory earlier;
    synchronized (this) {
      ModelVersions known = versions.get(name);
      Optional<ModelVersion> version = known.of(begunOn);
      if (version.isEmpty() || version.get().equals(known.current())) {
        earlier = null;
      } else {
        earlier = source(name, version.get());
      }
    }
    if (earlier == null) {
      return use(name);
    }
    CompletableFuture<ModelPool.Use> answer = new CompletableFuture<>();
    CompletableFuture<ModelPool.Use> loading = member.use(earlier, false);
    cancelWith(answer, loading);
    loading.whenComplete(
        (use, failure) -> {
          if (failure != null && !answer.isCancelled()) {
            currentInstead(answer, name, earlier, TaskModels.message(failure));
          } else if (failure == null) {
            pool.loaders()
                .execute(() -> checkEarlier(answer, name, earlier, begunOn.orElseThrow(), use));
          }
        });
    return answer;
  }

  private void checkEarlier(
      CompletableFuture<ModelPool.Use> answer,
      String name,
      PipelineFactory earlier,
      String digest,
      ModelPool.Use use) {
    String problem;
    try {
      String now = use.batcher().model().info().digest();
      problem = now.equals(digest) ? null : "its digest is " + now + " now";
    } catch (RuntimeException e) {
      problem = e.getMessage();
    }
    if (problem == null) {
      if (!answer.complete(use)) {
        use.close();
      }
    } else {
      use.close();
      currentInstead(answer, name, earlier, problem);
    }
  }

  private void currentInstead(
      CompletableFuture<ModelPool.Use> answer, String name, PipelineFactory earlier, String why) {
    LOG.warn(
        "Version {} of model '{}' cannot be opened again, so a request that was begun on it begins"
            + " anew on the current one: {}",
        earlier.model(),
        name,
        why);
    CompletableFuture<ModelPool.Use> current = use(name);
    cancelWith(answer, current);
    current.whenComplete(
        (use, failure) -> {
          if (failure != null) {
            answer.completeExceptionally(failure);
          } else if (!answer.complete(use)) {
            use.close();
          }
        });
  }

  private static void cancelWith(
      CompletableFuture<ModelPool.Use> answer, CompletableFuture<ModelPool.Use> loading) {
    answer.whenComplete(
        (use, failure) -> {
          if (answer.isCancelled()) {
            loading.cancel(false);
          }
        });
  }

  private void ask(Waiting request) {
    PipelineFactory model;
    UnusableModelException known;
    synchronized (this) {
      model = source(request.name, versions.get(request.name).current());
      known = unusable.get(model.model());
    }
    if (known != null) {
      request.answer.completeExceptionally(known);
      return;
    }
    CompletableFuture<ModelPool.Use> loading = member.use(model, true);
    synchronized (this) {
      request.loading = loading;
      if (!loading.isDone()) {
        waiting.add(request);
      }
    }
    loading.whenComplete((use, failure) -> loaded(request, loading, model, use, failure));
  }

  private void loaded(
      Waiting request,
      CompletableFuture<ModelPool.Use> loading,
      PipelineFactory model,
      ModelPool.Use use,
      Throwable failure) {
    synchronized (this) {
      if (request.loading != loading) { // another version was asked for meanwhile
        if (use != null) {
          use.close();
        }
        return;
      }
      waiting.remove(request);
      if (failure == null) {
        seen.put(model.model(), use.batcher().model());
      } else {
        unusable(failure).ifPresent(why -> unusable.put(model.model(), why));
      }
    }
    if (failure != null) {
      request.answer.completeExceptionally(failure);
    } else if (!request.answer.complete(use)) {
      use.close();
    }
  }

  /** It has its answer, or has given up. */
  private void leave(Waiting request) {
    CompletableFuture<ModelPool.Use> loading;
    synchronized (this) {
      waiting.remove(request);
      loading = request.loading;
    }
    if (request.answer.isCancelled() && loading != null) {
      loading.cancel(false);
    }
  }

  // ------------------------------------------------------------------ for versions

  /** Loads a version as its files are now; requests may begin on it later. */
  public CompletableFuture<ModelPool.Use> load(String name, ModelVersion version) {
    PipelineFactory source;
    synchronized (this) {
      version.folder().ifPresent(folder -> sources.remove(List.of(name, folder)));
      source = source(name, version);
    }
    member.lookAgainAt(source);
    return member.use(source, true);
  }

  /** What runs work that waits for files. */
  public void later(Runnable work) {
    pool.loaders().execute(work);
  }

  /** What the current version has said of itself; empty as long as it was never loaded. */
  public synchronized Optional<Model> current(String name) {
    return Optional.ofNullable(seen.get(source(name, versions.get(name).current()).model()));
  }

  /**
   * From now on requests begin on this version, and so do those that wait for the one before; that
   * one is unloaded when its last request is done.
   *
   * @param version with its digest
   * @param digestBefore of the version that was current, if it is known
   */
  public void activate(String name, ModelVersion version, Optional<String> digestBefore) {
    PipelineFactory before;
    List<Waiting> again = new ArrayList<>();
    synchronized (this) {
      ModelVersions known = versions.get(name);
      before = source(name, known.current());
      if (digestBefore.isPresent()) {
        known = known.withDigest(known.current(), digestBefore.get());
      }
      versions.put(name, known.with(version));
      unusable.remove(source(name, version).model());
      for (Waiting request : waiting) {
        if (request.name.equals(name)) {
          again.add(request);
        }
      }
    }
    for (Waiting request : again) {
      CompletableFuture<ModelPool.Use> loading;
      synchronized (this) {
        loading = request.loading;
        request.loading = null;
      }
      if (loading != null) {
        loading.cancel(false);
      }
      ask(request);
    }
    if (isCurrent(before.model())) {
      member.keepOnlyLatest(before);
    } else {
      member.forget(before);
    }
  }

  /** Whether requests begin on it, whatever name they call it by. */
  private synchronized boolean isCurrent(String model) {
    return versions.entrySet().stream()
        .anyMatch(each -> source(each.getKey(), each.getValue().current()).model().equals(model));
  }

  /** A version that was tried and is not to be kept. */
  public void forget(String name, ModelVersion version) {
    PipelineFactory source = source(name, version);
    if (!isCurrent(source.model())) {
      member.forget(source);
    }
  }

  // ------------------------------------------------------------------ what it tells

  /**
   * Whether nobody need try to load the model again, so that its requests fail and others go on.
   *
   * @param failure of a future of {@link #use}
   */
  public static Optional<UnusableModelException> unusable(Throwable failure) {
    for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
      if (cause instanceof UnusableModelException known) {
        return Optional.of(known);
      }
      if (cause instanceof OversizedModelException) {
        return Optional.of(new UnusableModelException(cause.getMessage(), cause));
      }
    }
    return Optional.empty();
  }

  /** Why a model could not be loaded, in a sentence. */
  public static String message(Throwable failure) {
    Throwable cause = failure;
    while (cause instanceof CompletionException && cause.getCause() != null) {
      cause = cause.getCause();
    }
    return unusable(failure).map(Throwable::getMessage).orElse(String.valueOf(cause.getMessage()));
  }

  /** What has become of a model on this task's device, in all its versions. */
  public ModelPool.Counts counts(String name) {
    Set<String> sources = new HashSet<>();
    synchronized (this) {
      versions.get(name).known().forEach(each -> sources.add(source(name, each).model()));
    }
    long loads = 0;
    long unloads = 0;
    long bytes = 0;
    for (String source : sources) {
      ModelPool.Counts counts = pool.counts(member.device(), source);
      loads += counts.loads();
      unloads += counts.unloads();
      bytes += counts.bytes();
    }
    return new ModelPool.Counts(loads, unloads, bytes);
  }

  /** Gives up all that is under way. */
  @Override
  public void close() {
    member.close();
  }
}
