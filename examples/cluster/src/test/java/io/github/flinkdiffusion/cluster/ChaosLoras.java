/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;

/** LoRAs with random weights, which requests of a chaos run name in turns. */
final class ChaosLoras {
  private static final List<String> NAMES = List.of("first", "second");
  private static final int RANK = 2;

  private ChaosLoras() {}

  /** What requests of a template say: none, one, the other one, or both, with their scales. */
  static Map<String, String> parameters(int template) {
    return switch (template % 4) {
      case 0 -> Map.of();
      case 1 -> Map.of("loras", "first:0.8");
      case 2 -> Map.of("loras", "second:-0.5");
      default -> Map.of("loras", "first:0.4,second:0.7");
    };
  }

  /**
   * Writes the files that are not there yet.
   *
   * @return the value of {@code diffusion.loras.allowed}
   */
  static String allowed(Path folder) throws IOException {
    Files.createDirectories(folder);
    for (String name : NAMES) {
      if (!Files.exists(file(folder, name))) {
        write(file(folder, name), new Random(name.hashCode()));
      }
    }
    return NAMES.stream()
        .map(name -> name + "=" + file(folder, name))
        .collect(Collectors.joining(";"));
  }

  private static Path file(Path folder, String name) {
    return folder.resolve(name + ".safetensors");
  }

  private static void write(Path file, Random random) throws IOException {
    HeapTensors.Builder tensors = HeapTensors.builder();
    Path model = Measured.HOME.resolve(ChaosJob.ADAPTERS.model());
    try (TensorStore unet = ModelFolder.open(model).component("unet").open()) {
      for (String name : unet.names()) {
        if (name.endsWith("attn1.to_q.weight")) {
          String path = "unet." + name.substring(0, name.length() - ".weight".length());
          long[] shape = unet.info(name).shape();
          add(tensors, path + ".lora_A.weight", random, 0.3, RANK, (int) shape[1]);
          add(tensors, path + ".lora_B.weight", random, 0.3, (int) shape[0], RANK);
        }
      }
    }
    SafetensorsWriter.write(file, tensors.build(), Map.of("format", "pt"));
  }

  private static void add(
      HeapTensors.Builder tensors,
      String name,
      Random random,
      double deviation,
      int rows,
      int columns) {
    float[] values = new float[rows * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (deviation * random.nextGaussian());
    }
    tensors.add(name, values, rows, columns);
  }
}
