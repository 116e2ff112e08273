/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.engine.TrainableNetwork.NamedWeight;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Op;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;
import org.apache.flink.annotation.Internal;

/**
 * Low-rank adapters (Hu et al. 2021) beside layers of a graph: what they add to a layer's output is
 * {@code alpha / rank * up(down(x))}. They alone are trained.
 *
 * <p>Parameters are named as PEFT names them, {@code <layer>.lora_A.weight} and {@code
 * <layer>.lora_B.weight}, so a training's weights are a file that diffusers loads.
 *
 * @param layers paths in the graph, such as {@code unet.down_blocks.0.attentions.0...to_q}
 * @param rank of the adapters
 * @param alpha their factor times the rank; diffusers' training programs have it equal to the rank
 */
@Internal
public record LowRankAdapters(Predicate<String> layers, int rank, double alpha) {
  private static final String DOWN = ".lora_A.weight";
  private static final String UP = ".lora_B.weight";

  /** diffusers' {@code target_modules}: the projections of attention. */
  public static final Predicate<String> ATTENTION =
      path -> path.matches(".*\\.(to_q|to_k|to_v|to_out\\.0|q_proj|k_proj|v_proj|out_proj)");

  public LowRankAdapters {
    if (rank < 1 || !(alpha > 0)) {
      throw new IllegalArgumentException(
          "Adapters need rank >= 1 and alpha > 0, not %d and %s.".formatted(rank, alpha));
    }
  }

  /**
   * A graph with the adapters in it.
   *
   * @throws IllegalArgumentException if it has no such layer
   */
  public Graph in(Graph graph) {
    Graph adapted = graph.rewritten((m, operation, inputs) -> adapt(graph, m, operation, inputs));
    if (adapted.parameterShapes().keySet().stream().noneMatch(LowRankAdapters::isAdapter)) {
      throw new IllegalArgumentException(
          "No layer to adapt; the graph's parameters are "
              + graph.parameterShapes().keySet().stream().limit(20).toList()
              + " and others.");
    }
    return adapted;
  }

  private Optional<Value> adapt(Graph graph, Method m, Value operation, List<Value> inputs) {
    return LayerInputs.path(operation, layers)
        .map(path -> adapted(graph, m, path, operation, inputs));
  }

  private Value adapted(Graph graph, Method m, String path, Value operation, List<Value> inputs) {
    long[] shape = graph.parameterShapes().get(path + ".weight");
    Value x = inputs.get(0);
    long[] down = shape.clone();
    down[0] = rank;
    Value layer = new Value(operation.op(), inputs, operation.attributes());
    Value added;
    if (operation.op() == Op.LINEAR) {
      Value low = m.linear(x, m.graph().parameter(path + DOWN, down), null);
      added = m.linear(low, m.graph().parameter(path + UP, shape[0], rank), null);
    } else {
      Value low =
          m.conv2d(
              x,
              m.graph().parameter(path + DOWN, down),
              null,
              (Integer) operation.attributes().get(0),
              (Integer) operation.attributes().get(1));
      added = m.conv2d(low, m.graph().parameter(path + UP, shape[0], rank, 1, 1), null, 1, 0);
    }
    return m.add(layer, m.multiply(m.castAs(added, layer), alpha / rank));
  }

  /** Whether a parameter of an adapted graph is an adapter's: these are trained. */
  public static boolean isAdapter(String parameter) {
    return parameter.endsWith(DOWN) || parameter.endsWith(UP);
  }

  /**
   * Weights of an adapted graph: the adapters begin by adding nothing.
   *
   * @param base of all other parameters
   */
  public static ParameterSource weights(ParameterSource base, long seed) {
    ParameterSource fresh = new WeightInitializer(seed, name -> name.endsWith(UP));
    return (name, shape, out) -> (isAdapter(name) ? fresh : base).write(name, shape, out);
  }

  /**
   * Writes trained adapters as a LoRA file, as diffusers' {@code save_lora_weights}. Their factor
   * is in the second matrix, so that programs which look for it elsewhere agree.
   *
   * @param trained weights of an adapted graph, whose layers' paths begin with a component of the
   *     pipeline
   * @throws WeightsException if it cannot be written
   */
  public void write(Path file, List<NamedWeight> trained) {
    HeapTensors.Builder tensors = HeapTensors.builder();
    for (NamedWeight weight : trained) {
      if (isAdapter(weight.name())) {
        float[] values = weight.value().data().clone();
        for (int i = 0; i < values.length && weight.name().endsWith(UP); i++) {
          values[i] *= (float) (alpha / rank);
        }
        tensors.add(weight.name(), values, weight.value().shape());
      }
    }
    SafetensorsWriter.write(file, tensors.build(), Map.of("format", "pt"));
  }
}
