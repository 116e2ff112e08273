/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.gpucheck;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.TensorPlace;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;

/** A safetensors file that is not written yet: its header, hence where each tensor will lie. */
final class WeightList {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** The length of the header, before it. */
  private static final int LENGTH = Long.BYTES;

  private static final int ALIGNMENT = 64;

  private final ObjectNode tensors;
  private final byte[] header;

  private WeightList(ObjectNode tensors, byte[] header) {
    this.tensors = tensors;
    this.header = header;
  }

  static WeightList of(Graph graph, Precision precision) {
    Map<String, long[]> shapes = graph.parameterShapes();
    List<String> names =
        shapes.keySet().stream()
            .sorted(
                Comparator.comparing((String name) -> graph.type(name, precision))
                    .thenComparing(Comparator.naturalOrder()))
            .toList();
    ObjectNode tensors = JSON.createObjectNode();
    long offset = 0;
    for (String name : names) {
      DType type = graph.type(name, precision);
      long[] shape = shapes.get(name);
      ObjectNode tensor = tensors.putObject(name).put("dtype", type.name());
      Arrays.stream(shape).forEach(tensor.putArray("shape")::add);
      long end = offset + Graph.elements(shape) * type.bytes();
      tensor.putArray("data_offsets").add(offset).add(end);
      offset = end;
    }
    return new WeightList(tensors, padded(tensors));
  }

  private static byte[] padded(ObjectNode tensors) {
    try {
      byte[] text = JSON.writeValueAsString(tensors).getBytes(StandardCharsets.UTF_8);
      int over = (LENGTH + text.length) % ALIGNMENT;
      byte[] header = Arrays.copyOf(text, text.length + (over == 0 ? 0 : ALIGNMENT - over));
      Arrays.fill(header, text.length, header.length, (byte) ' ');
      return header;
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }

  /** What follows the length at the file's beginning. */
  byte[] header() {
    return header;
  }

  TensorPlace place(String name, Path file) {
    ObjectNode tensor = (ObjectNode) tensors.get(name);
    return new TensorPlace(
        file,
        LENGTH + header.length + tensor.get("data_offsets").get(0).asLong(),
        DType.valueOf(tensor.get("dtype").asText()));
  }
}
