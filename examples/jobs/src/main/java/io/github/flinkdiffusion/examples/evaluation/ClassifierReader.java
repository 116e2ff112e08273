/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.evaluation;

import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.ImageClassifier;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** A classifier folder: a CLIP with a text for each class (zero-shot), or one with own classes. */
final class ClassifierReader implements AttributeReader {
  private static final int BATCH = 16;

  private final ImageClassifier classifier;
  private final List<String> classes;
  private final List<String> texts;

  /**
   * @param texts a text by class, for CLIP; null for a classifier with classes of its own
   */
  ClassifierReader(Path folder, Map<String, String> texts) {
    this.texts = texts == null ? List.of() : List.copyOf(texts.values());
    try {
      this.classifier = ImageClassifier.open(folder, this.texts, Engines.standard().device("auto"));
    } catch (IllegalArgumentException e) {
      throw new EvaluationException(e.getMessage(), e);
    }
    this.classes = texts == null ? classifier.labels() : List.copyOf(texts.keySet());
  }

  @Override
  public List<String> classes() {
    return classes;
  }

  @Override
  public String description() {
    return "%s, SHA-256 `%s`%s. Its own errors and biases are part of the figures."
        .formatted(
            classifier.name(),
            classifier.digest(),
            texts.isEmpty() ? "" : ", zero-shot by the texts " + texts);
  }

  @Override
  public int[] read(List<Raster> images) {
    int[] read = new int[images.size()];
    for (int begin = 0; begin < images.size(); begin += BATCH) {
      List<Raster> batch = images.subList(begin, Math.min(begin + BATCH, images.size()));
      List<float[]> shares = classifier.shares(batch);
      for (int i = 0; i < batch.size(); i++) {
        read[begin + i] = largest(shares.get(i));
      }
    }
    return read;
  }

  private static int largest(float[] shares) {
    int largest = 0;
    for (int i = 1; i < shares.length; i++) {
      largest = shares[i] > shares[largest] ? i : largest;
    }
    return largest;
  }

  @Override
  public void close() {
    classifier.close();
  }
}
