/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.graph;

import io.github.flinkdiffusion.ops.weights.DType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * One method of a {@link Graph}: arguments, straight-line operations, results.
 *
 * <p>Each operation returns a new {@link Value}; the attributes and shapes are those of {@link Op}.
 */
@Internal
public final class Method {
  private final Graph graph;
  private final String name;
  private final List<Value> inputs = new ArrayList<>();
  private final List<Value> results = new ArrayList<>();

  Method(Graph graph, String name) {
    this.graph = graph;
    this.name = name;
  }

  public String name() {
    return name;
  }

  public Graph graph() {
    return graph;
  }

  public List<Value> inputs() {
    return Collections.unmodifiableList(inputs);
  }

  public List<Value> results() {
    return Collections.unmodifiableList(results);
  }

  /**
   * Declares the next argument, of float32.
   *
   * @param rank number of its dimensions
   */
  public Value input(String argument, int rank) {
    return input(argument, DType.F32, rank);
  }

  /**
   * Declares the next argument, of int64.
   *
   * @param rank number of its dimensions
   */
  public Value integers(String argument, int rank) {
    return input(argument, DType.I64, rank);
  }

  private Value input(String argument, DType type, int rank) {
    Value value = new Value(Op.INPUT, List.of(), List.of(argument, type, rank));
    inputs.add(value);
    return value;
  }

  /** Declares the next argument as another graph's method has it. */
  Value sameInput(Value other) {
    return input(
        (String) other.attributes().get(0),
        (DType) other.attributes().get(1),
        (Integer) other.attributes().get(2));
  }

  /** Sets what the method returns: one tensor, or a tuple of several. */
  public void returns(Value... values) {
    if (!results.isEmpty()) {
      throw new GraphException("Method " + name + " already has its results.");
    }
    results.addAll(Arrays.asList(values));
  }

  public Value conv2d(Value x, Value weight, Value bias, int stride, int padding) {
    return conv2d(x, weight, bias, stride, padding, 1);
  }

  /**
   * A convolution in which channels meet only those of their group.
   *
   * @param groups 1 for all with all; as many as there are channels for each alone
   */
  public Value conv2d(Value x, Value weight, Value bias, int stride, int padding, int groups) {
    return node(Op.CONV2D, inputs(x, weight, bias), stride, padding, groups);
  }

  public Value linear(Value x, Value weight, Value bias) {
    return node(Op.LINEAR, inputs(x, weight, bias));
  }

  public Value groupNorm(Value x, int groups, Value weight, Value bias, double epsilon) {
    return node(Op.GROUP_NORM, inputs(x, weight, bias), groups, epsilon);
  }

  public Value layerNorm(Value x, int size, Value weight, Value bias, double epsilon) {
    return node(Op.LAYER_NORM, inputs(x, weight, bias), size, epsilon);
  }

  /**
   * @param size of the last dimension
   * @param weight null for none
   */
  public Value rmsNorm(Value x, int size, Value weight, double epsilon) {
    return node(Op.RMS_NORM, inputs(x, weight), size, epsilon);
  }

  public Value silu(Value x) {
    return node(Op.SILU, inputs(x));
  }

  /** x * tanh(softplus(x)) (Misra 2019). */
  public Value mish(Value x) {
    return node(Op.MISH, inputs(x));
  }

  public Value relu(Value x) {
    return node(Op.RELU, inputs(x));
  }

  public Value sigmoid(Value x) {
    return node(Op.SIGMOID, inputs(x));
  }

  public Value tanh(Value x) {
    return node(Op.TANH, inputs(x));
  }

  public Value gelu(Value x) {
    return node(Op.GELU, inputs(x));
  }

  public Value geluTanh(Value x) {
    return node(Op.GELU_TANH, inputs(x));
  }

  public Value sin(Value x) {
    return node(Op.SIN, inputs(x));
  }

  public Value cos(Value x) {
    return node(Op.COS, inputs(x));
  }

  public Value exp(Value x) {
    return node(Op.EXP, inputs(x));
  }

  public Value log(Value x) {
    return node(Op.LOG, inputs(x));
  }

  public Value sqrt(Value x) {
    return node(Op.SQRT, inputs(x));
  }

  public Value floor(Value x) {
    return node(Op.FLOOR, inputs(x));
  }

  /** For objectives alone: a network in use draws nothing. */
  public Value dropout(Value x, double probability) {
    return node(Op.DROPOUT, inputs(x), probability);
  }

  public Value detach(Value x) {
    return node(Op.DETACH, inputs(x));
  }

  public Value attention(Value q, Value k, Value v, boolean causal) {
    return node(Op.ATTENTION, inputs(q, k, v, null), causal);
  }

  /**
   * Attention whose scores get a bias, or a mask.
   *
   * @param bias of q's type; broadcasts to [N,heads,T,S]
   */
  public Value attention(Value q, Value k, Value v, Value bias) {
    return node(Op.ATTENTION, inputs(q, k, v, bias), false);
  }

  /**
   * Queries or keys turned by angles of their positions.
   *
   * @param x [N,heads,T,2 half]
   * @param cos [1 or N,T,half], float32, as is {@code sin}
   * @param neighbours whether 2i and 2i+1 are turned together (diffusers' {@code use_real=False},
   *     or {@code use_real_unbind_dim=-1}); else i and i+half are (transformers' {@code
   *     rotate_half})
   */
  public Value rotate(Value x, Value cos, Value sin, int half, boolean neighbours) {
    return node(Op.ROTATE, inputs(x, cos, sin), half, neighbours);
  }

  /** Products of the last two dimensions; those before them broadcast. */
  public Value matrixProduct(Value a, Value b) {
    return node(Op.MATRIX_PRODUCT, inputs(a, b));
  }

  /** Over the last dimension. */
  public Value softmax(Value x) {
    return node(Op.SOFTMAX, inputs(x));
  }

  public Value add(Value a, Value b) {
    return node(Op.ADD, inputs(a, b));
  }

  public Value subtract(Value a, Value b) {
    return node(Op.SUBTRACT, inputs(a, b));
  }

  public Value multiply(Value a, Value b) {
    return node(Op.MULTIPLY, inputs(a, b));
  }

  public Value divide(Value a, Value b) {
    return node(Op.DIVIDE, inputs(a, b));
  }

  public Value add(Value a, double scalar) {
    return node(Op.ADD_SCALAR, inputs(a), scalar);
  }

  public Value multiply(Value a, double scalar) {
    return node(Op.MULTIPLY_SCALAR, inputs(a), scalar);
  }

  public Value clamp(Value x, double minimum, double maximum) {
    return node(Op.CLAMP, inputs(x), minimum, maximum);
  }

  public Value concatenate(int dimension, Value... values) {
    return node(Op.CONCATENATE, inputs(values), dimension);
  }

  public Value narrow(Value x, int dimension, long start, long length) {
    return node(Op.NARROW, inputs(x), dimension, start, length);
  }

  /** The first part of x along a dimension, as long there as the reference is in one of its own. */
  public Value firstAs(Value x, int dimension, Value reference, int referenceDimension) {
    return node(Op.NARROW_AS, inputs(x, reference), dimension, referenceDimension, false);
  }

  /** The last part of x along a dimension, as long there as the reference is in one of its own. */
  public Value lastAs(Value x, int dimension, Value reference, int referenceDimension) {
    return node(Op.NARROW_AS, inputs(x, reference), dimension, referenceDimension, true);
  }

  /** 0, 1, 2 ... for each place along a dimension of the reference, as a float32 vector. */
  public Value indices(Value reference, int dimension) {
    return node(Op.INDICES, inputs(reference), dimension);
  }

  public Value transpose(Value x, int first, int second) {
    return node(Op.TRANSPOSE, inputs(x), first, second);
  }

  public Value permute(Value x, int... order) {
    return node(Op.PERMUTE, inputs(x), list(order));
  }

  public Value flatten(Value x, int first, int last) {
    return node(Op.FLATTEN, inputs(x), first, last);
  }

  public Value unflatten(Value x, int dimension, int... sizes) {
    return node(Op.UNFLATTEN, inputs(x), dimension, list(sizes));
  }

  /**
   * A dimension of x as two, as large as two dimensions of the reference that follow each other.
   */
  public Value unflattenAs(Value x, int dimension, Value reference, int referenceDimension) {
    return node(Op.UNFLATTEN_AS, inputs(x, reference), dimension, referenceDimension);
  }

  public Value reshapeAs(Value x, Value reference) {
    return node(Op.RESHAPE_AS, inputs(x, reference));
  }

  public Value unsqueeze(Value x, int dimension) {
    return node(Op.UNSQUEEZE, inputs(x), dimension);
  }

  public Value squeeze(Value x, int dimension) {
    return node(Op.SQUEEZE, inputs(x), dimension);
  }

  public Value pad(Value x, int left, int right, int top, int bottom) {
    return node(Op.PAD, inputs(x), left, right, top, bottom);
  }

  public Value padReflect(Value x, int left, int right, int top, int bottom) {
    return node(Op.PAD_REFLECT, inputs(x), left, right, top, bottom);
  }

  public Value upsampleNearest(Value x, int factor) {
    return node(Op.UPSAMPLE_NEAREST, inputs(x), factor);
  }

  public Value upsampleNearestAs(Value x, Value reference) {
    return node(Op.UPSAMPLE_NEAREST_AS, inputs(x, reference));
  }

  /** Means of windows that lie side by side. */
  public Value averagePool(Value x, int kernel) {
    return averagePool(x, kernel, kernel, 0);
  }

  /** Means of the pixels in each window, without padding (count_include_pad=False). */
  public Value averagePool(Value x, int kernel, int stride, int padding) {
    return node(Op.AVERAGE_POOL, inputs(x), kernel, stride, padding);
  }

  public Value maxPool(Value x, int kernel, int stride, int padding) {
    return node(Op.MAX_POOL, inputs(x), kernel, stride, padding);
  }

  public Value embedding(Value ids, Value weight) {
    return node(Op.EMBEDDING, inputs(ids, weight));
  }

  public Value equalsScalar(Value x, long scalar) {
    return node(Op.EQUALS_SCALAR, inputs(x), scalar);
  }

  public Value argmax(Value x, int dimension) {
    return node(Op.ARGMAX, inputs(x), dimension);
  }

  public Value argmin(Value x, int dimension) {
    return node(Op.ARGMIN, inputs(x), dimension);
  }

  public Value selectRow(Value x, Value indices) {
    return node(Op.SELECT_ROW, inputs(x, indices));
  }

  public Value distances(Value a, Value b) {
    return node(Op.DISTANCES, inputs(a, b));
  }

  public Value expandAs(Value x, Value reference) {
    return node(Op.EXPAND_AS, inputs(x, reference));
  }

  public Value castAs(Value x, Value reference) {
    return node(Op.CAST_AS, inputs(x, reference));
  }

  /**
   * @param weight [O,...] of int8
   * @param scale [O]
   * @param rank of the weight
   */
  public Value dequantize(Value weight, Value scale, int rank) {
    return node(Op.DEQUANTIZE, inputs(weight, scale), rank);
  }

  /**
   * @param weight [O,16 G] of uint8
   * @param scale [O,G]
   * @param shape of the result, [O,...]
   */
  public Value dequantizeGroups(Value weight, Value scale, long... shape) {
    return node(Op.DEQUANTIZE_GROUPS, inputs(weight, scale), Arrays.stream(shape).boxed().toList());
  }

  public Value toFloat(Value x) {
    return node(Op.TO_FLOAT, inputs(x));
  }

  public Value mean(Value x) {
    return node(Op.MEAN, inputs(x));
  }

  public Value meanAlong(Value x, int dimension) {
    return node(Op.MEAN_ALONG, inputs(x), dimension);
  }

  public Value meanSquaredError(Value x, Value target) {
    return node(Op.MEAN_SQUARED_ERROR, inputs(x, target));
  }

  public Value meanAbsoluteError(Value x, Value target) {
    return node(Op.MEAN_ABSOLUTE_ERROR, inputs(x, target));
  }

  private static List<Integer> list(int[] values) {
    return Arrays.stream(values).boxed().toList();
  }

  private static List<Value> inputs(Value... values) {
    return Arrays.asList(values);
  }

  private static Value node(Op op, List<Value> inputs, Object... attributes) {
    return new Value(op, inputs, List.of(attributes));
  }
}
