/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.ModelEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.ops.batching.ModelPool;
import io.github.flinkdiffusion.ops.pipeline.Basis;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.ModelVersion;
import io.github.flinkdiffusion.ops.serving.ModelVersions;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import io.github.flinkdiffusion.ops.serving.TaskModels;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.flink.util.function.ThrowingRunnable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Follows {@link ModelEvent}s, one after the other: a version is looked at, loaded beside the
 * current one as memory allows, checked, and then made the one that requests begin on. An event
 * that cannot be followed changes nothing. Task thread only.
 */
final class ModelChanges {
  private static final Logger LOG = LoggerFactory.getLogger(ModelChanges.class);

  /** Events that were dealt with are known by the digests of their bytes. */
  private static final int MOST_KNOWN = ControlBoard.MOST;

  /** The subtask. */
  interface Line {
    /** Runs on the task's thread; from any thread. */
    void mail(ThrowingRunnable<? extends Exception> action, String what);

    /** The event cannot be followed, by its own words: each subtask says the same. */
    void refused(ModelEvent event, String why);

    /** The event cannot be followed here: other subtasks may have other files, or more memory. */
    void refusedHere(ModelEvent event, String why);
  }

  private final TaskModels models;
  private final Line line;
  private final Deque<byte[]> pending = new ArrayDeque<>();
  private final Set<String> known = new LinkedHashSet<>();
  private boolean underWay;

  /**
   * @param known events that were dealt with before, as {@link #known} gave them
   */
  ModelChanges(TaskModels models, Line line, Collection<String> known) {
    this.models = models;
    this.line = line;
    this.known.addAll(known);
  }

  /** For a checkpoint; the oldest first. */
  List<String> known() {
    return new ArrayList<>(known);
  }

  /** One has come, possibly again. */
  void read(byte[] encoded) {
    pending.add(encoded);
    next();
  }

  private void next() {
    while (!underWay && !pending.isEmpty()) {
      byte[] encoded = pending.remove();
      String key = Payloads.sha256(encoded);
      if (!known.contains(key)) {
        underWay = true;
        follow(new Change(decode(encoded), key));
      }
    }
  }

  private static ModelEvent decode(byte[] encoded) {
    try {
      return EventCodec.models().decode(encoded);
    } catch (UndecodableEventException e) {
      throw new DiffusionException("Cannot read a model event: " + e.getMessage(), e);
    }
  }

  private record Change(ModelEvent event, String key) {
    String model() {
      return event.getModel();
    }
  }

  /** What was found out of a version that is loaded. */
  private record Checked(ModelVersion version, Optional<String> digestBefore) {}

  private void follow(Change change) {
    ModelVersion version;
    try {
      version = version(change.event());
    } catch (InvalidRequestException e) {
      saysNo(change, e.getMessage());
      line.refused(change.event(), e.getMessage());
      done(change);
      return;
    }
    Optional<Model> current = models.current(change.model());
    PipelineFactory source;
    PipelineFactory now;
    try {
      source = models.source(change.model(), version);
      now = models.source(change.model(), models.versions(change.model()).current());
    } catch (RuntimeException e) {
      refuse(change, e.getMessage());
      return;
    }
    inBackground(
        change,
        () -> {
          checkFiles(version, source, now);
          line.mail(() -> load(change, version, current), "a model's files are looked at");
        });
  }

  /**
   * Which version an event means.
   *
   * @throws InvalidRequestException if there is no such model, or version
   */
  private ModelVersion version(ModelEvent event) {
    ModelVersions versions = models.versions(event.getModel());
    if (event.getFolder() != null) {
      String label = event.getVersion() == null ? event.getId() : event.getVersion();
      if (label.equals(ModelVersion.CONFIGURED)) {
        throw new InvalidRequestException(
            "A version with a folder cannot be called '%s', which is the one that the job's options name."
                .formatted(label));
      }
      return new ModelVersion(
          label, Optional.of(event.getFolder()), Optional.ofNullable(event.getDigest()));
    }
    String name = event.getVersion() == null ? event.getDigest() : event.getVersion();
    if (name == null) {
      throw new InvalidRequestException(
          "It names neither a folder, nor an earlier version; one of 'folder', 'version' and"
              + " 'digest' is expected.");
    }
    return versions
        .named(name)
        .orElseThrow(
            () ->
                new InvalidRequestException(
                    "There is no earlier version '%s' of model '%s'; there are %s."
                        .formatted(
                            name,
                            event.getModel(),
                            versions.known().stream()
                                .map(ModelVersion::label)
                                .distinct()
                                .collect(Collectors.joining(", ")))));
  }

  /** What can be told without the device, so that a bad version costs no memory there. */
  private static void checkFiles(
      ModelVersion version, PipelineFactory source, PipelineFactory now) {
    requireSamePipeline(source.pipelineClass(), now.pipelineClass());
    if (version.digest().isPresent()) {
      requireDigest(version, source.digest());
    }
  }

  private static void requireSamePipeline(Optional<String> version, Optional<String> now) {
    if (version.isPresent() && now.isPresent() && !version.equals(now)) {
      throw new InvalidRequestException(
          "It is a %s; the current version is a %s, and requests are for that."
              .formatted(version.get(), now.get()));
    }
  }

  private static void requireDigest(ModelVersion version, String digest) {
    String wanted = version.digest().orElse(digest);
    if (!digest.equals(wanted)) {
      throw new InvalidRequestException(
          "The digest of version '%s' is %s; it must be %s."
              .formatted(version.label(), digest, wanted));
    }
  }

  private void load(Change change, ModelVersion version, Optional<Model> current) {
    models
        .load(change.model(), version)
        .whenComplete(
            (use, failure) -> {
              if (failure != null) {
                line.mail(
                    () -> refuse(change, TaskModels.message(failure)), "a version is not loaded");
              } else {
                inBackground(change, () -> check(change, version, current, use));
              }
            });
  }

  /** Waits until every byte is read, so off the task's thread. */
  private void check(
      Change change, ModelVersion version, Optional<Model> current, ModelPool.Use use) {
    Checked checked;
    try {
      Model loaded = use.batcher().model();
      String digest = loaded.info().digest();
      requireDigest(version, digest);
      current.ifPresent(
          before ->
              requireSamePipeline(
                  Optional.ofNullable(loaded.info().loadedAs().get(Basis.PIPELINE)),
                  Optional.ofNullable(before.info().loadedAs().get(Basis.PIPELINE))));
      checked =
          new Checked(version.withDigest(digest), current.map(before -> before.info().digest()));
    } catch (RuntimeException e) {
      use.close();
      line.mail(
          () -> {
            models.forget(change.model(), version);
            refuse(change, e.getMessage());
          },
          "a version is refused");
      return;
    }
    line.mail(
        () -> {
          models.activate(change.model(), checked.version(), checked.digestBefore());
          use.close();
          LOG.info(
              "Requests for model '{}' begin on version {} from now on (model event {}).",
              change.model(),
              checked.version(),
              change.event().getId());
          done(change);
        },
        "a version is checked");
  }

  private void inBackground(Change change, Runnable work) {
    models.later(
        () -> {
          try {
            work.run();
          } catch (RuntimeException | Error e) {
            line.mail(() -> refuse(change, String.valueOf(e.getMessage())), "a version is refused");
          }
        });
  }

  private void refuse(Change change, String why) {
    saysNo(change, why);
    line.refusedHere(change.event(), why);
    done(change);
  }

  private static void saysNo(Change change, String why) {
    LOG.warn(
        "Model event {} is not followed, and model '{}' stays as it is: {}",
        change.event().getId(),
        change.model(),
        why);
  }

  private void done(Change change) {
    known.add(change.key());
    if (known.size() > MOST_KNOWN) {
      known.remove(known.iterator().next());
    }
    underWay = false;
    next();
  }
}
