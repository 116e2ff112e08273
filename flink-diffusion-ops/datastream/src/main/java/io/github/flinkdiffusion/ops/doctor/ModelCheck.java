/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;
import io.github.flinkdiffusion.ops.hub.HubName;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.ModelFolderPipelines;
import io.github.flinkdiffusion.ops.serving.ModelSettings;
import io.github.flinkdiffusion.ops.serving.UnusableModelException;
import io.github.flinkdiffusion.ops.weights.AddedFileException;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/**
 * Whether the model is complete: configs, vocabularies, and the headers of weights, with names and
 * shapes, against the pipeline and the files' lengths. Reads no weights: a job checks their numbers
 * when it loads them.
 */
final class ModelCheck implements Check {
  private static final double MEBIBYTE = 1 << 20;

  @Override
  public String name() {
    return "model";
  }

  @Override
  public List<Finding> examine(Setup setup) {
    String option = DiffusionOptions.MODEL_FOLDER.key();
    Optional<String> folder = setup.config().getOptional(DiffusionOptions.MODEL_FOLDER);
    if (folder.isEmpty()) {
      return List.of(Finding.skipped(name(), option + " is not set"));
    }
    ModelSettings settings;
    try {
      settings = ModelSettings.of(setup.config());
    } catch (DiffusionException e) {
      return List.of(
          Finding.error(name(), Reason.of(e), "Correct the option that the message names."));
    }
    if (HubName.isOne(folder.get())) {
      return List.of(
          Finding.skipped(
              name(),
              "%s is on Hugging Face's hub; `examples/model inspect` looks at it"
                  .formatted(folder.get())));
    }
    if (settings.isElsewhere()) {
      return List.of(
          Finding.skipped(
              name(),
              "%s, its LoRAs or its configs are at an address; a job fetches them first"
                  .formatted(folder.get())));
    }
    Path path = Path.of(folder.get()).toAbsolutePath();
    if (!Files.exists(path)) {
      return List.of(
          Finding.error(
              name(),
              "There is no model at %s (%s).".formatted(path, option),
              "Put the model there on every TaskManager: mount the volume, or download it first."));
    }
    return examine(settings, path);
  }

  private List<Finding> examine(ModelSettings settings, Path path) {
    ModelFolder model;
    try {
      model = open(settings, path);
    } catch (FlinkDiffusionException | UncheckedIOException e) {
      return List.of(unusable(path, e));
    }
    String pipeline = settings.pipeline() == null ? model.pipelineClass() : settings.pipeline();
    if (!Pipelines.supported().contains(pipeline)) {
      return List.of(
          Finding.error(
              name(),
              "The model at %s is a %s, which is not supported.".formatted(path, pipeline),
              "Take one of %s.".formatted(String.join(", ", Pipelines.supported()))));
    }
    List<Finding> findings = new ArrayList<>();
    try {
      // As a job opens it, but for the networks: each component that the pipeline needs.
      new ModelFolderPipelines(settings).described();
      findings.add(
          Finding.ok(
              name(),
              String.format(
                  Locale.ROOT,
                  "%s: %s, %.1f MiB of weights",
                  path,
                  pipeline,
                  openAll(model) / MEBIBYTE)));
    } catch (FlinkDiffusionException | UncheckedIOException e) {
      findings.add(unusable(path, e));
    }
    for (MissingParts.Part part : MissingParts.of(model, settings.safetyChecker())) {
      if (findings.stream().noneMatch(each -> each.found().contains(part.found()))) {
        findings.add(Finding.warning(name(), part.found(), part.advice()));
      }
    }
    return findings;
  }

  private static ModelFolder open(ModelSettings settings, Path path) {
    return settings.configs() == null
        ? ModelFolder.open(path, Optional.ofNullable(settings.variant()))
        : ModelFolder.openSingleFile(path, Path.of(settings.configs()));
  }

  private Finding unusable(Path path, RuntimeException e) {
    boolean told = e instanceof UnusableModelException && e.getCause() != null;
    if (told && e.getCause() instanceof AddedFileException) {
      return Finding.error(
          name(), e.getMessage(), "Correct the option that names the file, or replace the file.");
    }
    return Finding.error(
        name(),
        "The model at %s cannot be used: %s".formatted(path, Reason.of(told ? e.getCause() : e)),
        "Copy the file or sub-folder that the message names again, or download the model again, and"
            + " compare sizes and SHA-256. If the message names an option or a key, correct it.");
  }

  /** Bytes of the weights on disk; empty where no model is found here. */
  static OptionalLong weightBytes(Setup setup) {
    try {
      return setup
          .config()
          .getOptional(DiffusionOptions.MODEL_FOLDER)
          .filter(folder -> !HubName.isOne(folder))
          .map(Path::of)
          .filter(Files::exists)
          .map(path -> OptionalLong.of(openAll(ModelFolder.open(path))))
          .orElse(OptionalLong.empty());
    } catch (FlinkDiffusionException | UncheckedIOException e) {
      return OptionalLong.empty(); // examine says so
    }
  }

  private static long openAll(ModelFolder model) {
    Set<Path> files = new HashSet<>();
    for (String name : model.componentNames()) {
      ModelComponent component = model.component(name);
      if (!component.weightFiles().isEmpty()) {
        try (TensorStore store = component.open()) { // holds headers against the files' lengths
          files.addAll(component.weightFiles());
        }
      }
    }
    long bytes = 0;
    try {
      for (Path file : files) {
        bytes += Files.size(file);
      }
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot look at " + files, e);
    }
    return bytes;
  }
}
