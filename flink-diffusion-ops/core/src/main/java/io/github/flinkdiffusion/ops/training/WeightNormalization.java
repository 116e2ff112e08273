/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.NamedWeight;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Value;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import org.apache.flink.annotation.Internal;

/**
 * Layers whose weight is a length times a direction (Salimans and Kingma 2016), as {@code
 * torch.nn.utils.weight_norm}: {@code weight = weight_g * weight_v / |weight_v|}, with a length for
 * each output channel. Trained weights are folded into plain ones, so a model knows nothing of it.
 *
 * @param layers their paths in the graph
 */
@Internal
public record WeightNormalization(Predicate<String> layers) {
  private static final String WEIGHT = ".weight";
  private static final String LENGTH = ".weight_g";
  private static final String DIRECTION = ".weight_v";

  /**
   * Layers that can be normalized: those with a row of zeros have no direction, such as the last
   * convolution of a network that begins by adding nothing.
   *
   * @param trained whether a parameter is trained
   * @param weights those that the training begins with
   */
  public static WeightNormalization ofTrained(
      Graph graph, Predicate<String> trained, ParameterSource weights) {
    Set<String> layers = new HashSet<>();
    graph
        .parameterShapes()
        .forEach(
            (name, shape) -> {
              if (name.endsWith(WEIGHT)
                  && shape.length > 1
                  && trained.test(name)
                  && Arrays.stream(lengths(read(weights, name, shape), (int) shape[0]))
                      .allMatch(length -> length > 0)) {
                layers.add(stem(name));
              }
            });
    return new WeightNormalization(layers::contains);
  }

  private static float[] read(ParameterSource weights, String name, long[] shape) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try {
      weights.write(name, shape, bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    FloatBuffer values =
        ByteBuffer.wrap(bytes.toByteArray()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
    float[] all = new float[values.remaining()];
    values.get(all);
    return all;
  }

  /** A graph whose layers are normalized. */
  public Graph in(Graph graph) {
    return graph.rewritten(
        (m, operation, inputs) ->
            LayerInputs.parameter(operation)
                .filter(name -> isNormalized(name, graph.parameterShapes().get(name)))
                .map(name -> normalized(m, stem(name), graph.parameterShapes().get(name))));
  }

  private boolean isNormalized(String name, long[] shape) {
    return name.endsWith(WEIGHT) && shape.length > 1 && layers.test(stem(name));
  }

  private static String stem(String weight) {
    return weight.substring(0, weight.lastIndexOf('.'));
  }

  private static Value normalized(Method m, String path, long[] shape) {
    long[] ones = new long[shape.length];
    Arrays.fill(ones, 1);
    ones[0] = shape[0];
    Value length = m.graph().parameter(path + LENGTH, ones);
    Value direction = m.graph().parameter(path + DIRECTION, shape);
    long row = Graph.elements(shape) / shape[0];
    Value flat = shape.length > 2 ? m.flatten(direction, 1, -1) : direction;
    Value norm = m.sqrt(m.multiply(m.meanAlong(m.multiply(flat, flat), 1), row));
    for (int i = 2; i < shape.length; i++) {
      norm = m.unsqueeze(norm, i);
    }
    return m.multiply(direction, m.divide(length, norm));
  }

  /**
   * Weights of a normalized graph, equal to those of the graph before.
   *
   * @param base weights of the graph before
   * @param before that graph
   */
  public ParameterSource weights(ParameterSource base, Graph before) {
    return (name, shape, out) -> {
      if (!name.endsWith(LENGTH)) {
        base.write(name.endsWith(DIRECTION) ? stem(name) + WEIGHT : name, shape, out);
        return;
      }
      String weight = stem(name) + WEIGHT;
      float[] all = read(base, weight, before.parameterShapes().get(weight));
      ByteBuffer lengths =
          ByteBuffer.allocate((int) shape[0] * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      for (double length : lengths(all, (int) shape[0])) {
        lengths.putFloat((float) length);
      }
      out.write(lengths.array());
    };
  }

  private static double[] lengths(float[] weight, int rows) {
    int size = weight.length / rows;
    double[] lengths = new double[rows];
    for (int i = 0; i < rows; i++) {
      double squares = 0;
      for (int j = 0; j < size; j++) {
        squares += (double) weight[i * size + j] * weight[i * size + j];
      }
      lengths[i] = Math.sqrt(squares);
    }
    return lengths;
  }

  /** Trained weights under the names of the graph before, lengths and directions folded. */
  public static List<NamedWeight> folded(List<NamedWeight> trained) {
    Map<String, NamedWeight> lengths = new LinkedHashMap<>();
    trained.stream()
        .filter(weight -> weight.name().endsWith(LENGTH))
        .forEach(weight -> lengths.put(stem(weight.name()), weight));
    List<NamedWeight> folded = new ArrayList<>();
    for (NamedWeight weight : trained) {
      if (weight.name().endsWith(DIRECTION)) {
        String path = stem(weight.name());
        folded.add(new NamedWeight(path + WEIGHT, fold(weight, lengths.get(path))));
      } else if (!weight.name().endsWith(LENGTH)) {
        folded.add(weight);
      }
    }
    return folded;
  }

  private static HostTensor.Floats fold(NamedWeight direction, NamedWeight length) {
    float[] values = direction.value().data().clone();
    float[] wanted = length.value().data();
    double[] is = lengths(values, wanted.length);
    int size = values.length / wanted.length;
    for (int i = 0; i < values.length; i++) {
      values[i] *= (float) (wanted[i / size] / is[i / size]);
    }
    return new HostTensor.Floats(values, direction.value().shape());
  }
}
