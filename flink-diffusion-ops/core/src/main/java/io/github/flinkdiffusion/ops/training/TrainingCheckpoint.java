/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.TrainingState;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.WeightState;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A training's state as a safetensors file: for each part of each parameter a tensor that is named
 * by the part and the parameter, such as {@code value.conv_in.weight}, and {@code updates}. The
 * file is replaced atomically, so a process that is killed while it writes leaves the state before.
 */
final class TrainingCheckpoint {
  private static final String UPDATES = "updates";

  private TrainingCheckpoint() {}

  /**
   * Writes a state, replacing the file if it exists.
   *
   * @throws WeightsException if the file cannot be written
   */
  public static void write(Path file, TrainingState state) {
    HeapTensors.Builder tensors = HeapTensors.builder();
    tensors.add(UPDATES, new long[] {state.updates()}, 1);
    for (WeightState weight : state.weights()) {
      weight
          .tensors()
          .forEach(
              (part, tensor) ->
                  tensors.add(part + "." + weight.name(), tensor.data(), tensor.shape()));
    }
    SafetensorsWriter.write(file, tensors.build());
  }

  /**
   * Reads a state that {@link #write} wrote.
   *
   * @throws WeightsException if the file cannot be read
   */
  public static TrainingState read(Path file) {
    try (TensorStore tensors = Safetensors.open(file)) {
      Map<String, Map<String, HostTensor.Floats>> parts = new LinkedHashMap<>();
      for (String name : tensors.names()) {
        int dot = name.indexOf('.');
        if (dot > 0 && WeightState.PARTS.contains(name.substring(0, dot))) {
          parts
              .computeIfAbsent(name.substring(dot + 1), parameter -> new LinkedHashMap<>())
              .put(
                  name.substring(0, dot),
                  new HostTensor.Floats(tensors.floats(name), tensors.info(name).shape()));
        }
      }
      long updates = tensors.data(UPDATES).get(0).getLong(0);
      return new TrainingState(
          Math.toIntExact(updates),
          parts.entrySet().stream()
              .map(entry -> new WeightState(entry.getKey(), entry.getValue()))
              .toList());
    }
  }
}
