/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.serving.DiffusionException;
import java.io.Serializable;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * A classifier and from which share on each of its classes counts as found.
 *
 * @param name of the classifier in attributes and messages
 * @param folder of the model
 * @param texts for CLIP; empty for a classifier with classes of its own
 * @param limits from above 0 to 1, by class
 */
record ScreenClassifier(
    String name, String folder, List<String> texts, TreeMap<String, Double> limits)
    implements Serializable {

  static ScreenClassifier of(
      String name, String folder, List<String> texts, Map<String, Double> limits) {
    if (!name.matches("[A-Za-z0-9_-]{1,40}")) {
      throw new DiffusionException(
          "A classifier has the name '%s'; expected 1 to 40 letters, digits, '_' or '-'"
              .formatted(name));
    }
    if (limits.isEmpty()) {
      throw new DiffusionException(
          "Classifier '%s' has no limits; expected one class, at least".formatted(name));
    }
    limits.forEach(
        (label, limit) -> {
          if (!(limit > 0 && limit <= 1)) {
            throw new DiffusionException(
                "Classifier '%s' has the limit %s for '%s'; expected above 0, up to 1"
                    .formatted(name, limit, label));
          }
          if (!texts.isEmpty() && !texts.contains(label)) {
            throw new DiffusionException(
                "Classifier '%s' has a limit for '%s'; its texts are %s"
                    .formatted(name, label, texts));
          }
        });
    return new ScreenClassifier(name, folder, List.copyOf(texts), new TreeMap<>(limits));
  }
}
