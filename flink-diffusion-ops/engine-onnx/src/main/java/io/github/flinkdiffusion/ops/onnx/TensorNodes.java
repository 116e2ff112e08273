/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnx;

import io.github.flinkdiffusion.ops.graph.GraphException;
import io.github.flinkdiffusion.ops.onnx.OnnxGraph.Attribute;
import io.github.flinkdiffusion.ops.weights.DType;
import java.util.List;

/** Nodes that other operations are made of: sizes, conversions, and arithmetic of two tensors. */
final class TensorNodes {
  final OnnxGraph onnx;

  TensorNodes(OnnxGraph onnx) {
    this.onnx = onnx;
  }

  ModelTensor converted(ModelTensor x, DType type) {
    return x.type() == type ? x : new ModelTensor(cast(x.name(), type), type, x.rank());
  }

  String cast(String name, DType type) {
    return onnx.node("Cast", List.of(name), Attribute.integer("to", (long) OnnxGraph.code(type)));
  }

  /** All sizes, as a vector. */
  String shape(ModelTensor x) {
    return shape(x, 0, x.rank());
  }

  /** Sizes of some dimensions. */
  String shape(ModelTensor x, int from, int to) {
    return onnx.node(
        "Shape",
        List.of(x.name()),
        Attribute.integer("start", (long) from),
        Attribute.integer("end", (long) to));
  }

  /** One vector of several. */
  String joined(List<String> sizes) {
    return sizes.size() == 1
        ? sizes.get(0)
        : onnx.node("Concat", sizes, Attribute.integer("axis", 0L));
  }

  /** A number of another tensor's type. */
  String scalar(Object value, ModelTensor beside) {
    double number = ((Number) value).doubleValue();
    if (Double.isNaN(number) || Double.isInfinite(number)) {
      throw new GraphException("The scalar " + number + " is no number that ONNX takes.");
    }
    return beside.type().isFloating()
        ? onnx.scalar(number, beside.type())
        : onnx.integer((long) number);
  }

  /** Both of the type that torch would give the result. */
  ModelTensor binary(String operator, List<ModelTensor> in) {
    ModelTensor a = in.get(0);
    ModelTensor b = in.get(1);
    DType type = common(a.type(), b.type());
    return new ModelTensor(
        onnx.node(operator, List.of(converted(a, type).name(), converted(b, type).name())),
        type,
        Math.max(a.rank(), b.rank()));
  }

  /** As torch promotes two tensors' types. */
  static DType common(DType a, DType b) {
    if (a == b) {
      return a;
    }
    if (a.isFloating() && b.isFloating()) {
      return a == DType.F64 || b == DType.F64 ? DType.F64 : DType.F32;
    }
    return a.isFloating() ? a : b.isFloating() ? b : DType.I64;
  }
}
