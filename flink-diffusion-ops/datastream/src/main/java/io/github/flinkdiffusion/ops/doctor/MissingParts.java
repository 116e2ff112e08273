/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import io.github.flinkdiffusion.ops.weights.ModelComponent;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * All parts of a model folder that {@code model_index.json} names and that are not there. A
 * pipeline stops at the first one that it needs, and does not notice those that it can do without,
 * such as a safety checker under a misspelt name.
 */
final class MissingParts {
  private static final String INDEX = "model_index.json";
  private static final String SAFETY_CHECKER = "safety_checker";

  /** Classes whose components have no weights. */
  private static final Pattern WITHOUT_WEIGHTS =
      Pattern.compile(".*(Scheduler|Tokenizer|Processor|FeatureExtractor).*");

  /** One of them is in the folder of each component. */
  private static final List<String> CONFIGS =
      List.of(
          "config.json",
          "scheduler_config.json",
          "tokenizer_config.json",
          "preprocessor_config.json");

  /** One of them is in the folder of each tokenizer. */
  private static final List<String> VOCABULARIES =
      List.of("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "tokenizer.model");

  private static final String COMPLETE =
      "Download or copy it again. If the pipeline is to run without it, set its entry in "
          + INDEX
          + " to [null, null].";

  private MissingParts() {}

  /**
   * A part that is missing.
   *
   * @param found what is missing, and where
   * @param advice what to do
   */
  record Part(String found, String advice) {}

  /**
   * @param safetyChecker whether the model's safety checker is to be used
   */
  static List<Part> of(ModelFolder model, boolean safetyChecker) {
    List<Part> parts = new ArrayList<>();
    if (Files.isDirectory(model.path())) {
      model.config().keys().stream()
          .filter(model::lacks)
          .filter(name -> safetyChecker || !name.equals(SAFETY_CHECKER))
          .forEach(name -> parts.add(subFolder(model, name)));
    }
    for (String name : model.componentNames()) {
      if (!safetyChecker && name.equals(SAFETY_CHECKER)) {
        continue;
      }
      ModelComponent component = model.component(name);
      if (component.className().contains("Tokenizer")) {
        component
            .folder()
            .filter(folder -> hasNone(folder, VOCABULARIES))
            .ifPresent(folder -> parts.add(vocabulary(folder)));
      } else if (!WITHOUT_WEIGHTS.matcher(component.className()).matches()
          && component.weightFiles().isEmpty()) {
        parts.add(weights(component));
      }
    }
    return parts;
  }

  private static Part subFolder(ModelFolder model, String name) {
    List<String> unnamed = unnamed(model);
    if (unnamed.isEmpty()) {
      try {
        model.component(name);
      } catch (WeightsException e) {
        return new Part(Reason.of(e), COMPLETE);
      }
    }
    return new Part(
        "%s in %s names '%s', which is not there. Sub-folders that it does not name: %s."
            .formatted(INDEX, model.path(), name, String.join(", ", unnamed)),
        "If one of these is meant, correct the name in %s, or rename the sub-folder. Otherwise download or copy '%s' again."
            .formatted(INDEX, name));
  }

  private static Part vocabulary(Path folder) {
    return new Part(
        "Tokenizer %s has no vocabulary, which is one of %s."
            .formatted(folder, String.join(", ", VOCABULARIES)),
        "Download or copy all files of this sub-folder again.");
  }

  /** Says also when there are pickled weights only, or several variants. */
  private static Part weights(ModelComponent component) {
    try {
      component.open().close();
      throw new IllegalStateException(component + " has weights in no file");
    } catch (WeightsException e) {
      return new Part(
          Reason.of(e), "Put a file there that the message names. Download or copy it again.");
    }
  }

  private static List<String> unnamed(ModelFolder model) {
    try (Stream<Path> files = Files.list(model.path())) {
      return files
          .filter(file -> Files.isDirectory(file) && !hasNone(file, CONFIGS))
          .map(file -> file.getFileName().toString())
          .filter(name -> !model.has(name))
          .sorted()
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot list " + model.path(), e);
    }
  }

  private static boolean hasNone(Path folder, List<String> files) {
    return files.stream().map(folder::resolve).noneMatch(Files::isRegularFile);
  }
}
