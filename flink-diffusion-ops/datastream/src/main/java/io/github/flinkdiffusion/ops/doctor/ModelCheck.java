/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;
import io.github.flinkdiffusion.ops.hub.HubName;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.ModelSettings;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/**
 * The model's configs and its files' headers, against the files' lengths. Reads no weights: a job
 * checks their numbers when it loads them.
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
    if (HubName.isOne(folder.get())) {
      return List.of(
          Finding.skipped(
              name(),
              "%s is on Hugging Face's hub; `examples/model inspect` looks at it"
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
    try {
      ModelSettings settings = ModelSettings.of(setup.config());
      ModelFolder model = ModelFolder.open(path, Optional.ofNullable(settings.variant()));
      String pipeline = settings.pipeline() == null ? model.pipelineClass() : settings.pipeline();
      if (!Pipelines.supported().contains(pipeline)) {
        return List.of(
            Finding.error(
                name(),
                "The model at %s is a %s, which is not supported.".formatted(path, pipeline),
                "Take one of %s.".formatted(String.join(", ", Pipelines.supported()))));
      }
      return List.of(
          Finding.ok(
              name(),
              String.format(
                  Locale.ROOT,
                  "%s: %s, %.1f MiB of weights",
                  path,
                  pipeline,
                  openAll(model) / MEBIBYTE)));
    } catch (FlinkDiffusionException | UncheckedIOException e) {
      return List.of(
          Finding.error(
              name(),
              "The model at %s cannot be used: %s".formatted(path, Reason.of(e)),
              "Copy the model again and compare its files' sizes and SHA-256, or correct the option"
                  + " that the message names."));
    }
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
