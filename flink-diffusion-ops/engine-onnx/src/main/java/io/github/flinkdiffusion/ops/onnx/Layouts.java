/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnx;

import static io.github.flinkdiffusion.ops.onnx.OpAttributes.dimension;
import static io.github.flinkdiffusion.ops.onnx.OpAttributes.integer;

import io.github.flinkdiffusion.ops.onnx.OnnxGraph.Attribute;
import io.github.flinkdiffusion.ops.weights.DType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Operations that bring numbers to other places and compute none. */
final class Layouts {
  private final TensorNodes nodes;
  private final OnnxGraph onnx;

  Layouts(TensorNodes nodes) {
    this.nodes = nodes;
    this.onnx = nodes.onnx;
  }

  ModelTensor narrowed(ModelTensor x, int dimension, long start, long length) {
    List<String> inputs =
        List.of(
            x.name(),
            onnx.integers(start),
            onnx.integers(start + length),
            onnx.integers(dimension));
    return x.like(onnx.node("Slice", inputs));
  }

  ModelTensor concatenation(List<ModelTensor> in, int dimension) {
    DType type = in.stream().map(ModelTensor::type).reduce(TensorNodes::common).orElseThrow();
    List<String> inputs = in.stream().map(each -> nodes.converted(each, type).name()).toList();
    return new ModelTensor(
        onnx.node("Concat", inputs, Attribute.integer("axis", (long) dimension)),
        type,
        in.get(0).rank());
  }

  ModelTensor narrowed(ModelTensor x, ModelTensor reference, List<Object> a) {
    int along = dimension(a.get(0), x.rank());
    int measured = dimension(a.get(1), reference.rank());
    String length = nodes.shape(reference, measured, measured + 1);
    String start = onnx.integers(0);
    String end = length;
    if ((Boolean) a.get(2)) {
      end = nodes.shape(x, along, along + 1);
      start = onnx.node("Sub", List.of(end, length));
    }
    return x.like(onnx.node("Slice", List.of(x.name(), start, end, onnx.integers(along))));
  }

  ModelTensor transposed(ModelTensor x, long[] order) {
    return x.like(onnx.node("Transpose", List.of(x.name()), Attribute.of("perm", order)));
  }

  ModelTensor transposed(ModelTensor x, int first, int second) {
    long[] order = new long[x.rank()];
    Arrays.setAll(order, i -> i);
    order[first] = second;
    order[second] = first;
    return transposed(x, order);
  }

  ModelTensor flattened(ModelTensor x, int first, int last) {
    List<String> sizes = new ArrayList<>();
    if (first > 0) {
      sizes.add(nodes.shape(x, 0, first));
    }
    sizes.add(onnx.integers(-1));
    if (last + 1 < x.rank()) {
      sizes.add(nodes.shape(x, last + 1, x.rank()));
    }
    return new ModelTensor(
        onnx.node("Reshape", List.of(x.name(), nodes.joined(sizes))),
        x.type(),
        x.rank() - last + first);
  }

  ModelTensor unflattened(ModelTensor x, int dimension, long[] into) {
    return unflattened(x, dimension, into.length, onnx.integers(into));
  }

  /**
   * @param count of the sizes that the dimension is split into
   */
  ModelTensor unflattened(ModelTensor x, int dimension, int count, String into) {
    List<String> sizes = new ArrayList<>();
    if (dimension > 0) {
      sizes.add(nodes.shape(x, 0, dimension));
    }
    sizes.add(into);
    if (dimension + 1 < x.rank()) {
      sizes.add(nodes.shape(x, dimension + 1, x.rank()));
    }
    return new ModelTensor(
        onnx.node("Reshape", List.of(x.name(), nodes.joined(sizes))),
        x.type(),
        x.rank() - 1 + count);
  }

  ModelTensor padded(ModelTensor x, List<Object> a, String mode) {
    long left = integer(a.get(0));
    long right = integer(a.get(1));
    long top = integer(a.get(2));
    long bottom = integer(a.get(3));
    long[] sides = new long[2 * x.rank()];
    sides[x.rank() - 2] = top;
    sides[x.rank() - 1] = left;
    sides[2 * x.rank() - 2] = bottom;
    sides[2 * x.rank() - 1] = right;
    return x.like(
        onnx.node("Pad", List.of(x.name(), onnx.integers(sides)), new Attribute("mode", mode)));
  }

  String resized(List<String> inputs) {
    return onnx.node(
        "Resize",
        inputs,
        new Attribute("mode", "nearest"),
        new Attribute("coordinate_transformation_mode", "asymmetric"),
        new Attribute("nearest_mode", "floor"));
  }
}
