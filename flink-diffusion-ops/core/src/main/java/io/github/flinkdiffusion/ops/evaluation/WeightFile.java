/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.evaluation;

import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * The weights of a network that has no config: one safetensors file, or a folder that holds one.
 */
final class WeightFile {
  private static final String ENDING = ".safetensors";

  private WeightFile() {}

  /**
   * @throws WeightsException if there is no such file, or a folder holds several
   */
  static TensorStore open(Path path) {
    if (!Files.isDirectory(path)) {
      return Safetensors.open(path);
    }
    List<Path> found;
    try (Stream<Path> files = Files.list(path)) {
      found = files.filter(file -> file.getFileName().toString().endsWith(ENDING)).toList();
    } catch (IOException e) {
      throw new WeightsException("Weights %s: the folder cannot be read".formatted(path), e);
    }
    if (found.size() != 1) {
      throw new WeightsException(
          "Weights %s: the folder holds %d files that end in %s; one is needed"
              .formatted(path, found.size(), ENDING));
    }
    return Safetensors.open(found.get(0));
  }
}
