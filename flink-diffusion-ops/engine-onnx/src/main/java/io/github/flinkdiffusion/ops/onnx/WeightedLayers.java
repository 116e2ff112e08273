/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnx;

import static io.github.flinkdiffusion.ops.onnx.OpAttributes.integer;
import static io.github.flinkdiffusion.ops.onnx.OpAttributes.longs;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Op;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.onnx.OnnxGraph.Attribute;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.TensorPlace;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.function.Function;

/**
 * Convolutions and linear layers, and their weights: floats, or 8 or 4 bits that stay so in memory.
 */
final class WeightedLayers {
  /** Operations of weights that stay in 8 or 4 bits. */
  private static final Set<Op> QUANTIZED = EnumSet.of(Op.DEQUANTIZE, Op.DEQUANTIZE_GROUPS);

  /** Elements of a weight in 4 bits that have a scale in common, see {@link Op}. */
  private static final long GROUP = 32;

  /** What stands for 0 in 4 bits. */
  private static final int ZERO = 8;

  private final TensorNodes nodes;
  private final OnnxGraph onnx;
  private final Graph graph;
  private final Precision precision;
  private final Function<String, TensorPlace> places;
  private final Function<TensorPlace, String> locations;

  /** As in {@link OnnxEmitter}. */
  WeightedLayers(
      TensorNodes nodes,
      Graph graph,
      Precision precision,
      Function<String, TensorPlace> places,
      Function<TensorPlace, String> locations) {
    this.nodes = nodes;
    this.onnx = nodes.onnx;
    this.graph = graph;
    this.precision = precision;
    this.places = places;
    this.locations = locations;
  }

  /** Whether a layer has a weight in 8 or 4 bits. */
  static boolean isQuantized(Value value) {
    return (value.op() == Op.CONV2D || value.op() == Op.LINEAR)
        && QUANTIZED.contains(value.inputs().get(1).op());
  }

  /** What {@link #quantizedLayer} reads: x, weight, scale and bias. */
  static List<Value> quantizedInputs(Value layer) {
    List<Value> weight = layer.inputs().get(1).inputs();
    return Arrays.asList(
        layer.inputs().get(0), weight.get(0), weight.get(1), layer.inputs().get(2));
  }

  ModelTensor parameter(String name) {
    TensorPlace place = places.apply(name);
    long[] shape = graph.parameterShapes().get(name);
    long length = Graph.elements(shape) * place.dtype().bytes();
    onnx.external("w_" + name, shape, place, locations.apply(place), length);
    return new ModelTensor("w_" + name, graph.type(name, precision), shape.length);
  }

  ModelTensor layer(Value layer, List<ModelTensor> in) {
    List<Object> a = layer.attributes();
    return layer.op() == Op.LINEAR
        ? linear(in)
        : convolution(in, integer(a.get(0)), integer(a.get(1)), integer(a.get(2)));
  }

  private ModelTensor convolution(List<ModelTensor> in, long stride, long padding, long groups) {
    return in.get(0)
        .like(
            onnx.node(
                "Conv",
                ModelTensor.present(in),
                Attribute.of("strides", stride, stride),
                Attribute.of("pads", padding, padding, padding, padding),
                Attribute.integer("group", groups)));
  }

  private ModelTensor linear(List<ModelTensor> in) {
    ModelTensor x = in.get(0);
    ModelTensor bias = in.get(2);
    if (x.rank() == 2) {
      return x.like(onnx.node("Gemm", ModelTensor.present(in), Attribute.integer("transB", 1L)));
    }
    String product =
        onnx.node(
            OnnxGraph.MICROSOFT,
            "FusedMatMul",
            List.of(x.name(), in.get(1).name()),
            Attribute.integer("transB", 1L));
    return x.like(bias == null ? product : onnx.node("Add", List.of(product, bias.name())));
  }

  /** The library folds no such node, so the weight stays in 8 bits. */
  ModelTensor dequantized(ModelTensor weight, String scale, DType type) {
    return new ModelTensor(
        onnx.node("DequantizeLinear", List.of(weight.name(), scale), Attribute.integer("axis", 0L)),
        type,
        weight.rank());
  }

  /** A weight in 4 bits, as floats of its own shape. */
  ModelTensor dequantizedGroups(Value weight, String scale, DType type) {
    String packed = weightName(weight);
    long[] bytes = graph.parameterShapes().get(packed);
    long rows = bytes[0];
    long groups = bytes[1] * 2 / GROUP;
    TensorPlace place = places.apply(packed);
    String halves =
        onnx.externalHalves(
            "w4_" + packed,
            new long[] {rows, groups * GROUP},
            place,
            locations.apply(place),
            rows * bytes[1]);
    String zeros = onnx.halves("z_" + packed, ZERO, rows, groups);
    String numbers =
        onnx.node(
            "DequantizeLinear",
            List.of(halves, scale, zeros),
            Attribute.integer("axis", 1L),
            Attribute.integer("block_size", GROUP));
    long[] shape = longs(weight.attributes().get(0));
    String row =
        onnx.node(
            "Slice",
            List.of(
                numbers,
                onnx.integers(0),
                onnx.integers(Graph.elements(shape) / rows),
                onnx.integers(1)));
    return new ModelTensor(
        onnx.node("Reshape", List.of(row, onnx.integers(shape))), type, shape.length);
  }

  /**
   * A layer with the inputs [x, weight, scale, bias]. The library computes what depends on no
   * argument first, and would have all weights as floats at once. So a zero that is computed from x
   * is added to the scale, unless there is an operator that takes the weight as it is.
   */
  ModelTensor quantizedLayer(Value layer, List<ModelTensor> in) {
    Value weight = layer.inputs().get(1);
    ModelTensor x = in.get(0);
    ModelTensor scale = in.get(2);
    ModelTensor bias = in.get(3);
    if (weight.op() == Op.DEQUANTIZE_GROUPS && layer.op() == Op.LINEAR) {
      long[] shape = longs(weight.attributes().get(0));
      long groups = graph.parameterShapes().get(weightName(weight))[1] * 2 / GROUP;
      String blocks =
          onnx.node(
              "Reshape", List.of(in.get(1).name(), onnx.integers(shape[0], groups, GROUP / 2)));
      String product =
          onnx.node(
              OnnxGraph.MICROSOFT,
              "MatMulNBits",
              List.of(x.name(), blocks, scale.name()),
              Attribute.integer("K", shape[1]),
              Attribute.integer("N", shape[0]),
              Attribute.integer("bits", 4L),
              Attribute.integer("block_size", GROUP));
      return x.like(bias == null ? product : onnx.node("Add", List.of(product, bias.name())));
    }
    String rows = nodes.shape(x, 0, 1);
    String zero = nodes.cast(onnx.node("Min", List.of(rows, onnx.integers(0))), scale.type());
    String later = onnx.node("Add", List.of(scale.name(), zero));
    ModelTensor floats =
        weight.op() == Op.DEQUANTIZE
            ? dequantized(in.get(1), later, scale.type())
            : dequantizedGroups(weight, later, scale.type());
    return layer(layer, Arrays.asList(x, floats, bias));
  }

  private static String weightName(Value dequantized) {
    return (String) dequantized.inputs().get(0).attributes().get(0);
  }
}
