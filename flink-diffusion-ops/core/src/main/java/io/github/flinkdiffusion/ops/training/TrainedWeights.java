/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.engine.TrainableNetwork.NamedWeight;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.TensorViews;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.annotation.Internal;

/** Brings what was trained into safetensors files, under the names that checkpoints use. */
@Internal
public final class TrainedWeights {
  private TrainedWeights() {}

  /**
   * Writes the parameters whose names begin with a prefix, without it.
   *
   * @param graph the objective that was trained
   * @param trained its weights, by the graph's names
   * @param dtype a floating-point type
   */
  public static void write(
      Path file, Graph graph, List<NamedWeight> trained, String prefix, DType dtype)
      throws IOException {
    HeapTensors.Builder tensors = HeapTensors.builder();
    add(tensors, graph, trained, prefix);
    write(file, tensors.build(), dtype);
  }

  /** Writes a store's tensors, those that were trained further with their new values. */
  public static void writeRefined(
      Path file, TensorStore original, Graph graph, List<NamedWeight> trained, DType dtype)
      throws IOException {
    HeapTensors.Builder tensors = HeapTensors.builder();
    for (String name : original.names()) {
      if (!graph.parameterShapes().containsKey(name)) {
        tensors.add(name, original.floats(name), original.info(name).shape());
      }
    }
    add(tensors, graph, trained, "");
    write(file, tensors.build(), dtype);
  }

  private static void add(
      HeapTensors.Builder tensors, Graph graph, List<NamedWeight> trained, String prefix) {
    Map<String, NamedWeight> byName = new HashMap<>();
    trained.forEach(weight -> byName.put(weight.name(), weight));
    graph
        .parameterShapes()
        .forEach(
            (name, shape) -> {
              if (name.startsWith(prefix)) {
                NamedWeight weight = byName.get(name);
                if (weight == null) {
                  throw new IllegalStateException(
                      "Parameter " + name + " was not trained; trained are " + byName.keySet());
                }
                tensors.add(name.substring(prefix.length()), weight.value().data(), shape);
              }
            });
  }

  private static void write(Path file, TensorStore tensors, DType dtype) throws IOException {
    Files.createDirectories(file.toAbsolutePath().getParent());
    SafetensorsWriter.write(file, TensorViews.withFloatsAs(tensors, dtype), Map.of("format", "pt"));
  }

  /** Stored float tensors as the float32 weights of a network. */
  public static ParameterSource source(TensorStore store) {
    return (name, shape, out) -> store.writeTo(name, DType.F32, out);
  }
}
