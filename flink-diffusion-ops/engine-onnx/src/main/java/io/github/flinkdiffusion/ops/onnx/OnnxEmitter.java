/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnx;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.GraphException;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Op;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.onnx.OnnxGraph.Attribute;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.TensorPlace;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.EnumSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import org.apache.flink.annotation.Internal;

/**
 * Turns one method of a {@link Graph} into an ONNX model whose weights stay in their files.
 *
 * <p>Models are of ONNX's operator set 23 and of ONNX Runtime's own operators, where one stands for
 * several: {@code FusedMatMul} takes a linear layer's weight as checkpoints have it, without a
 * transposed copy; {@code MultiHeadAttention} splits heads itself; {@code QuickGelu} is SiLU.
 */
@Internal
public final class OnnxEmitter {
  /** Operations of weights that stay in 8 or 4 bits. */
  private static final Set<Op> QUANTIZED = EnumSet.of(Op.DEQUANTIZE, Op.DEQUANTIZE_GROUPS);

  /** Elements of a weight in 4 bits that have a scale in common, see {@link Op}. */
  private static final long GROUP = 32;

  /** What stands for 0 in 4 bits. */
  private static final int ZERO = 8;

  private final Graph graph;
  private final Precision precision;
  private final Function<String, TensorPlace> places;
  private final Function<TensorPlace, String> locations;

  /**
   * @param places where each parameter of the graph lies, in the parameter's type
   * @param locations the text by which a place's file is found from the folder that the session is
   *     given for external data
   */
  public OnnxEmitter(
      Graph graph,
      Precision precision,
      Function<String, TensorPlace> places,
      Function<TensorPlace, String> locations) {
    this.graph = graph;
    this.precision = precision;
    this.places = places;
    this.locations = locations;
  }

  /**
   * The model of one method. Its inputs have the arguments' names, its results are {@code result0},
   * {@code result1} and so on.
   *
   * @throws GraphException for an operation that inference does not need, and for a method that
   *     returns nothing or uses another's arguments
   */
  public byte[] model(Method method) {
    if (method.results().isEmpty()) {
      throw new GraphException("Method " + method.name() + " returns nothing.");
    }
    return new Emission(method).model();
  }

  /** The name of a method's result in its model. */
  public static String result(int index) {
    return "result" + index;
  }

  /**
   * A tensor of the model.
   *
   * @param name of the value in the model
   */
  private record Tensor(String name, DType type, int rank) {}

  private final class Emission {
    private final Method method;
    private final OnnxGraph onnx = new OnnxGraph();
    private final Map<Value, Tensor> tensors = new IdentityHashMap<>();

    Emission(Method method) {
      this.method = method;
    }

    byte[] model() {
      for (Value input : method.inputs()) {
        List<Object> about = input.attributes();
        Tensor tensor =
            new Tensor((String) about.get(0), (DType) about.get(1), (Integer) about.get(2));
        onnx.input(tensor.name, tensor.type, tensor.rank);
        tensors.put(input, tensor);
      }
      int index = 0;
      for (Value result : method.results()) {
        Tensor tensor = compute(result);
        onnx.output(result(index++), tensor.name, tensor.type, tensor.rank);
      }
      return onnx.model(method.name());
    }

    /** Emits what {@code root} needs, inputs first; iterative, because networks are deep. */
    private Tensor compute(Value root) {
      Deque<Value> pending = new ArrayDeque<>();
      pending.push(root);
      while (!pending.isEmpty()) {
        Value value = pending.peek();
        if (tensors.containsKey(value)) {
          pending.pop();
          continue;
        }
        List<Value> inputs =
            PackedAttention.of(value)
                .map(PackedAttention::inputs)
                .orElseGet(() -> isQuantized(value) ? ofQuantizedLayer(value) : value.inputs());
        boolean ready = true;
        for (int i = inputs.size() - 1; i >= 0; i--) {
          Value input = inputs.get(i);
          if (input != null && !tensors.containsKey(input)) {
            pending.push(input);
            ready = false;
          }
        }
        if (ready) {
          pending.pop();
          List<Tensor> in = new ArrayList<>();
          inputs.forEach(input -> in.add(input == null ? null : tensors.get(input)));
          tensors.put(value, emit(value, in));
        }
      }
      return tensors.get(root);
    }

    private Tensor emit(Value value, List<Tensor> in) {
      List<Object> a = value.attributes();
      var packed = PackedAttention.of(value);
      if (packed.isPresent()) {
        return packedAttention(packed.get(), in);
      }
      if (isQuantized(value)) {
        return emitQuantized(value, in);
      }
      Tensor x = in.isEmpty() ? null : in.get(0);
      return switch (value.op()) {
        case INPUT ->
            throw new GraphException(
                "Method %s uses the argument %s of another method."
                    .formatted(method.name(), a.get(0)));
        case PARAMETER -> parameter((String) a.get(0));
        case CONSTANT -> {
          float[] data = graph.constants().get((String) a.get(0));
          String name = onnx.numbers("c_" + a.get(0), DType.F32, new long[] {data.length}, data);
          yield new Tensor(name, DType.F32, 1);
        }
        case CONV2D, LINEAR -> emitLayer(value, in);
        case GROUP_NORM -> groupNorm(in, integer(a.get(0)), number(a.get(1)));
        case LAYER_NORM -> layerNorm(in, integer(a.get(0)), number(a.get(1)));
        case RMS_NORM -> rmsNorm(in, integer(a.get(0)), number(a.get(1)));
        case SILU ->
            like(x, onnx.node(OnnxGraph.MICROSOFT, "QuickGelu", names(x), attribute("alpha", 1f)));
        case MISH -> like(x, onnx.node("Mish", names(x)));
        case RELU -> like(x, onnx.node("Relu", names(x)));
        case SIGMOID -> like(x, onnx.node("Sigmoid", names(x)));
        case TANH -> like(x, onnx.node("Tanh", names(x)));
        case GELU -> like(x, onnx.node("Gelu", names(x)));
        case GELU_TANH ->
            like(x, onnx.node("Gelu", names(x), new Attribute("approximate", "tanh")));
        case SIN -> like(x, onnx.node("Sin", names(x)));
        case COS -> like(x, onnx.node("Cos", names(x)));
        case EXP -> like(x, onnx.node("Exp", names(x)));
        case LOG -> like(x, onnx.node("Log", names(x)));
        case SQRT -> like(x, onnx.node("Sqrt", names(x)));
        case FLOOR -> like(x, onnx.node("Floor", names(x)));
        case ROTATE -> rotated(in, (Boolean) a.get(1));
        case MATRIX_PRODUCT -> binary("MatMul", in);
        case SOFTMAX -> like(x, onnx.node("Softmax", names(x), attribute("axis", -1L)));
        case ATTENTION -> attention(in, (Boolean) a.get(0));
        case ADD -> binary("Add", in);
        case SUBTRACT -> binary("Sub", in);
        case MULTIPLY -> binary("Mul", in);
        case DIVIDE -> binary("Div", in);
        case ADD_SCALAR -> like(x, onnx.node("Add", List.of(x.name, scalar(a.get(0), x))));
        case MULTIPLY_SCALAR -> like(x, onnx.node("Mul", List.of(x.name, scalar(a.get(0), x))));
        case CLAMP ->
            like(x, onnx.node("Clip", List.of(x.name, scalar(a.get(0), x), scalar(a.get(1), x))));
        case CONCATENATE -> concatenation(in, integer(a.get(0)));
        case NARROW -> {
          long start = integer(a.get(1));
          List<String> inputs =
              List.of(
                  x.name,
                  onnx.integers(start),
                  onnx.integers(start + integer(a.get(2))),
                  onnx.integers(integer(a.get(0))));
          yield like(x, onnx.node("Slice", inputs));
        }
        case NARROW_AS -> narrowed(x, in.get(1), a);
        case INDICES -> {
          int from = dimension(a.get(0), x.rank);
          String length = onnx.node("Squeeze", List.of(shape(x, from, from + 1)));
          String range = onnx.node("Range", List.of(onnx.integer(0), length, onnx.integer(1)));
          yield new Tensor(cast(range, DType.F32), DType.F32, 1);
        }
        case TRANSPOSE -> {
          long[] order = identity(x.rank);
          int first = dimension(a.get(0), x.rank);
          int second = dimension(a.get(1), x.rank);
          order[first] = second;
          order[second] = first;
          yield transposed(x, order);
        }
        case PERMUTE -> transposed(x, longs(a.get(0)));
        case FLATTEN -> flattened(x, dimension(a.get(0), x.rank), dimension(a.get(1), x.rank));
        case UNFLATTEN -> unflattened(x, dimension(a.get(0), x.rank), longs(a.get(1)));
        case UNFLATTEN_AS -> {
          int of = dimension(a.get(1), in.get(1).rank);
          yield unflattened(x, dimension(a.get(0), x.rank), 2, shape(in.get(1), of, of + 2));
        }
        case RESHAPE_AS ->
            new Tensor(
                onnx.node("Reshape", List.of(x.name, shape(in.get(1)))), x.type, in.get(1).rank);
        case EXPAND_AS ->
            new Tensor(
                onnx.node("Expand", List.of(x.name, shape(in.get(1)))), x.type, in.get(1).rank);
        case UNSQUEEZE ->
            new Tensor(
                onnx.node("Unsqueeze", List.of(x.name, onnx.integers(integer(a.get(0))))),
                x.type,
                x.rank + 1);
        case SQUEEZE ->
            new Tensor(
                onnx.node("Squeeze", List.of(x.name, onnx.integers(integer(a.get(0))))),
                x.type,
                x.rank - 1);
        case PAD -> padded(x, a, "constant");
        case PAD_REFLECT -> padded(x, a, "reflect");
        case UPSAMPLE_NEAREST -> {
          float factor = integer(a.get(0));
          String scales =
              onnx.numbers("x" + a.get(0), DType.F32, new long[] {4}, 1, 1, factor, factor);
          yield like(x, resized(List.of(x.name, "", scales)));
        }
        case UPSAMPLE_NEAREST_AS -> {
          String sizes =
              onnx.node(
                  "Concat", List.of(shape(x, 0, 2), shape(in.get(1), 2, 4)), attribute("axis", 0L));
          yield like(x, resized(List.of(x.name, "", "", sizes)));
        }
        case AVERAGE_POOL -> pooled("AveragePool", x, a);
        case MAX_POOL -> pooled("MaxPool", x, a);
        case EMBEDDING -> {
          Tensor table = in.get(1);
          yield new Tensor(
              onnx.node("Gather", List.of(table.name, x.name)), table.type, x.rank + 1);
        }
        case EQUALS_SCALAR -> {
          String number =
              x.type.isFloating()
                  ? onnx.scalar(integer(a.get(0)), x.type)
                  : onnx.integer(integer(a.get(0)));
          String equal = onnx.node("Equal", List.of(x.name, number));
          yield new Tensor(cast(equal, DType.F32), DType.F32, x.rank);
        }
        case ARGMAX -> extreme("ArgMax", x, integer(a.get(0)));
        case ARGMIN -> extreme("ArgMin", x, integer(a.get(0)));
        case SELECT_ROW -> {
          String indices = onnx.node("Unsqueeze", List.of(in.get(1).name, onnx.integers(1)));
          yield new Tensor(
              onnx.node("GatherND", List.of(x.name, indices), attribute("batch_dims", 1L)),
              x.type,
              x.rank - 1);
        }
        case DISTANCES -> distances(x, in.get(1));
        case CAST_AS -> converted(x, in.get(1).type);
        case DEQUANTIZE -> dequantized(x, in.get(1).name, in.get(1).type);
        case DEQUANTIZE_GROUPS -> dequantizedGroups(value, in.get(1).name, in.get(1).type);
        case TO_FLOAT -> converted(x, DType.F32);
        case MEAN_ALONG ->
            like(
                x,
                onnx.node(
                    "ReduceMean",
                    List.of(x.name, onnx.integers(integer(a.get(0)))),
                    attribute("keepdims", 1L)));
        case MEAN, MEAN_SQUARED_ERROR, MEAN_ABSOLUTE_ERROR, DROPOUT, DETACH ->
            throw new GraphException(
                "Method %s computes %s, which training needs: ONNX Runtime trains no networks; use the engine pytorch."
                    .formatted(method.name(), value.op()));
      };
    }

    private Tensor parameter(String name) {
      TensorPlace place = places.apply(name);
      long[] shape = graph.parameterShapes().get(name);
      long length = Graph.elements(shape) * place.dtype().bytes();
      onnx.external("w_" + name, shape, place, locations.apply(place), length);
      return new Tensor("w_" + name, graph.type(name, precision), shape.length);
    }

    private Tensor emitLayer(Value layer, List<Tensor> in) {
      List<Object> a = layer.attributes();
      return layer.op() == Op.LINEAR
          ? linear(in)
          : convolution(in, integer(a.get(0)), integer(a.get(1)), integer(a.get(2)));
    }

    /** The library folds no such node, so the weight stays in 8 bits. */
    private Tensor dequantized(Tensor weight, String scale, DType type) {
      return new Tensor(
          onnx.node("DequantizeLinear", List.of(weight.name, scale), attribute("axis", 0L)),
          type,
          weight.rank);
    }

    /** A weight in 4 bits, as floats of its own shape. */
    private Tensor dequantizedGroups(Value weight, String scale, DType type) {
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
              attribute("axis", 1L),
              attribute("block_size", GROUP));
      long[] shape = longs(weight.attributes().get(0));
      String row =
          onnx.node(
              "Slice",
              List.of(
                  numbers,
                  onnx.integers(0),
                  onnx.integers(Graph.elements(shape) / rows),
                  onnx.integers(1)));
      return new Tensor(
          onnx.node("Reshape", List.of(row, onnx.integers(shape))), type, shape.length);
    }

    /**
     * A layer with the inputs [x, weight, scale, bias]. The library computes what depends on no
     * argument first, and would have all weights as floats at once. So a zero that is computed from
     * x is added to the scale, unless there is an operator that takes the weight as it is.
     */
    private Tensor emitQuantized(Value layer, List<Tensor> in) {
      Value weight = layer.inputs().get(1);
      Tensor x = in.get(0);
      Tensor scale = in.get(2);
      Tensor bias = in.get(3);
      if (weight.op() == Op.DEQUANTIZE_GROUPS && layer.op() == Op.LINEAR) {
        long[] shape = longs(weight.attributes().get(0));
        long groups = graph.parameterShapes().get(weightName(weight))[1] * 2 / GROUP;
        String blocks =
            onnx.node(
                "Reshape", List.of(in.get(1).name, onnx.integers(shape[0], groups, GROUP / 2)));
        String product =
            onnx.node(
                OnnxGraph.MICROSOFT,
                "MatMulNBits",
                List.of(x.name, blocks, scale.name),
                attribute("K", shape[1]),
                attribute("N", shape[0]),
                attribute("bits", 4L),
                attribute("block_size", GROUP));
        return like(x, bias == null ? product : onnx.node("Add", List.of(product, bias.name)));
      }
      String rows = shape(x, 0, 1);
      String zero = cast(onnx.node("Min", List.of(rows, onnx.integers(0))), scale.type);
      String later = onnx.node("Add", List.of(scale.name, zero));
      Tensor floats =
          weight.op() == Op.DEQUANTIZE
              ? dequantized(in.get(1), later, scale.type)
              : dequantizedGroups(weight, later, scale.type);
      return emitLayer(layer, Arrays.asList(x, floats, bias));
    }

    private Tensor convolution(List<Tensor> in, long stride, long padding, long groups) {
      return like(
          in.get(0),
          onnx.node(
              "Conv",
              present(in),
              Attribute.of("strides", stride, stride),
              Attribute.of("pads", padding, padding, padding, padding),
              attribute("group", groups)));
    }

    private Tensor pooled(String operator, Tensor x, List<Object> a) {
      long kernel = integer(a.get(0));
      long stride = integer(a.get(1));
      long padding = integer(a.get(2));
      return like(
          x,
          onnx.node(
              operator,
              names(x),
              Attribute.of("kernel_shape", kernel, kernel),
              Attribute.of("strides", stride, stride),
              Attribute.of("pads", padding, padding, padding, padding)));
    }

    private Tensor linear(List<Tensor> in) {
      Tensor x = in.get(0);
      Tensor bias = in.get(2);
      if (x.rank == 2) {
        return like(x, onnx.node("Gemm", present(in), attribute("transB", 1L)));
      }
      String product =
          onnx.node(
              OnnxGraph.MICROSOFT,
              "FusedMatMul",
              List.of(x.name, in.get(1).name),
              attribute("transB", 1L));
      return like(x, bias == null ? product : onnx.node("Add", List.of(product, bias.name)));
    }

    /**
     * As a normalization of instances, which uses one processor for it. Tried instead,
     * mini-brain-mask's UNet, 8 rows, 2 threads, 115 ms: written out with mean and variance of
     * differences, 131 ms, since images are passed over more often; ONNX's own operator becomes a
     * difference of large sums, which cancels.
     */
    private Tensor groupNorm(List<Tensor> in, long groups, float epsilon) {
      Tensor x = in.get(0);
      String grouped = onnx.node("Reshape", List.of(x.name, onnx.integers(0, groups, -1)));
      float[] ones = new float[(int) groups];
      Arrays.fill(ones, 1);
      String normed =
          onnx.node(
              "InstanceNormalization",
              List.of(
                  grouped,
                  onnx.numbers("ones" + x.type + groups, x.type, new long[] {groups}, ones),
                  onnx.numbers(
                      "zeros" + x.type + groups,
                      x.type,
                      new long[] {groups},
                      new float[(int) groups])),
              attribute("epsilon", epsilon));
      String result = onnx.node("Reshape", List.of(normed, shape(x)));
      if (in.get(1) != null) {
        result = onnx.node("Mul", List.of(result, byChannel(in.get(1), x.rank)));
      }
      if (in.get(2) != null) {
        result = onnx.node("Add", List.of(result, byChannel(in.get(2), x.rank)));
      }
      return like(x, result);
    }

    /** A vector over channels [C] as [C,1,...], beside [N,C,...]. */
    private String byChannel(Tensor vector, int rank) {
      long[] dimensions = new long[rank - 2];
      for (int i = 0; i < dimensions.length; i++) {
        dimensions[i] = i + 1;
      }
      return onnx.node("Unsqueeze", List.of(vector.name, onnx.integers(dimensions)));
    }

    private Tensor layerNorm(List<Tensor> in, int size, float epsilon) {
      Tensor x = in.get(0);
      List<String> inputs = new ArrayList<>(names(x));
      if (in.get(1) == null) {
        float[] ones = new float[size];
        Arrays.fill(ones, 1);
        inputs.add(onnx.numbers("ones" + x.type + size, x.type, new long[] {size}, ones));
      } else {
        inputs.add(in.get(1).name);
      }
      if (in.get(2) != null) {
        inputs.add(in.get(2).name);
      }
      return like(
          x,
          onnx.node(
              "LayerNormalization", inputs, attribute("axis", -1L), attribute("epsilon", epsilon)));
    }

    /** ONNX Runtime's own operator: ONNX's, of operator set 23, it writes out. */
    private Tensor rmsNorm(List<Tensor> in, int size, float epsilon) {
      Tensor x = in.get(0);
      String weight;
      if (in.get(1) == null) {
        float[] ones = new float[size];
        Arrays.fill(ones, 1);
        weight = onnx.numbers("ones" + x.type + size, x.type, new long[] {size}, ones);
      } else {
        weight = in.get(1).name;
      }
      return like(
          x,
          onnx.node(
              "SimplifiedLayerNormalization",
              List.of(x.name, weight),
              attribute("axis", -1L),
              attribute("epsilon", epsilon)));
    }

    private Tensor rotated(List<Tensor> in, boolean neighbours) {
      Tensor x = in.get(0);
      List<String> inputs = new ArrayList<>();
      inputs.add(converted(x, DType.F32).name);
      for (Tensor table : in.subList(1, 3)) {
        // The operator takes a table for each row.
        String sizes = joined(List.of(shape(x, 0, 1), shape(table, 1, 3)));
        inputs.add(onnx.node("Expand", List.of(converted(table, DType.F32).name, sizes)));
      }
      String turned =
          onnx.node("RotaryEmbedding", inputs, attribute("interleaved", neighbours ? 1L : 0L));
      return converted(new Tensor(turned, DType.F32, x.rank), x.type);
    }

    private Tensor narrowed(Tensor x, Tensor reference, List<Object> a) {
      int along = dimension(a.get(0), x.rank);
      int measured = dimension(a.get(1), reference.rank);
      String length = shape(reference, measured, measured + 1);
      String start = onnx.integers(0);
      String end = length;
      if ((Boolean) a.get(2)) {
        end = shape(x, along, along + 1);
        start = onnx.node("Sub", List.of(end, length));
      }
      return like(x, onnx.node("Slice", List.of(x.name, start, end, onnx.integers(along))));
    }

    private Tensor attention(List<Tensor> in, boolean causal) {
      List<String> inputs = new ArrayList<>(names(in.get(0), in.get(1), in.get(2)));
      if (in.get(3) != null) {
        inputs.add(scoresBias(in.get(3), in.get(0), in.get(1), 2));
      }
      return like(
          in.get(0), onnx.node("Attention", inputs, attribute("is_causal", causal ? 1L : 0L)));
    }

    /**
     * What is added to scores as [1 or N,1 or heads,T,S]: the library broadcasts over rows and
     * heads alone.
     *
     * @param tokens dimension of T in q, and of S in k
     */
    private String scoresBias(Tensor bias, Tensor q, Tensor k, int tokens) {
      String sizes =
          joined(
              List.of(
                  onnx.integers(1, 1), shape(q, tokens, tokens + 1), shape(k, tokens, tokens + 1)));
      return onnx.node("Expand", List.of(bias.name, sizes));
    }

    private Tensor packedAttention(PackedAttention packed, List<Tensor> in) {
      List<String> inputs = new ArrayList<>(names(in.get(0), in.get(1), in.get(2)));
      if (in.size() > 3) {
        // Bias of the projections, mask over keys: neither is used; then what is added to scores.
        inputs.addAll(List.of("", "", scoresBias(in.get(3), in.get(0), in.get(1), 1)));
      }
      return like(
          in.get(0),
          onnx.node(
              OnnxGraph.MICROSOFT,
              "MultiHeadAttention",
              inputs,
              attribute("num_heads", (long) packed.heads()),
              attribute("unidirectional", packed.causal() ? 1L : 0L)));
    }

    private Tensor binary(String operator, List<Tensor> in) {
      Tensor a = in.get(0);
      Tensor b = in.get(1);
      DType type = common(a.type, b.type);
      return new Tensor(
          onnx.node(operator, List.of(converted(a, type).name, converted(b, type).name)),
          type,
          Math.max(a.rank, b.rank));
    }

    /** As torch promotes two tensors' types. */
    private static DType common(DType a, DType b) {
      if (a == b) {
        return a;
      }
      if (a.isFloating() && b.isFloating()) {
        return a == DType.F64 || b == DType.F64 ? DType.F64 : DType.F32;
      }
      return a.isFloating() ? a : b.isFloating() ? b : DType.I64;
    }

    private Tensor concatenation(List<Tensor> in, int dimension) {
      DType type = in.stream().map(Tensor::type).reduce(Emission::common).orElseThrow();
      List<String> inputs = in.stream().map(each -> converted(each, type).name).toList();
      return new Tensor(
          onnx.node("Concat", inputs, attribute("axis", (long) dimension)), type, in.get(0).rank);
    }

    private Tensor transposed(Tensor x, long[] order) {
      return like(x, onnx.node("Transpose", names(x), Attribute.of("perm", order)));
    }

    private Tensor flattened(Tensor x, int first, int last) {
      List<String> sizes = new ArrayList<>();
      if (first > 0) {
        sizes.add(shape(x, 0, first));
      }
      sizes.add(onnx.integers(-1));
      if (last + 1 < x.rank) {
        sizes.add(shape(x, last + 1, x.rank));
      }
      return new Tensor(
          onnx.node("Reshape", List.of(x.name, joined(sizes))), x.type, x.rank - last + first);
    }

    private Tensor unflattened(Tensor x, int dimension, long[] into) {
      return unflattened(x, dimension, into.length, onnx.integers(into));
    }

    /**
     * @param count of the sizes that the dimension is split into
     */
    private Tensor unflattened(Tensor x, int dimension, int count, String into) {
      List<String> sizes = new ArrayList<>();
      if (dimension > 0) {
        sizes.add(shape(x, 0, dimension));
      }
      sizes.add(into);
      if (dimension + 1 < x.rank) {
        sizes.add(shape(x, dimension + 1, x.rank));
      }
      return new Tensor(
          onnx.node("Reshape", List.of(x.name, joined(sizes))), x.type, x.rank - 1 + count);
    }

    private String joined(List<String> sizes) {
      return sizes.size() == 1 ? sizes.get(0) : onnx.node("Concat", sizes, attribute("axis", 0L));
    }

    private Tensor padded(Tensor x, List<Object> a, String mode) {
      long left = integer(a.get(0));
      long right = integer(a.get(1));
      long top = integer(a.get(2));
      long bottom = integer(a.get(3));
      long[] sides = new long[2 * x.rank];
      sides[x.rank - 2] = top;
      sides[x.rank - 1] = left;
      sides[2 * x.rank - 2] = bottom;
      sides[2 * x.rank - 1] = right;
      return like(
          x, onnx.node("Pad", List.of(x.name, onnx.integers(sides)), new Attribute("mode", mode)));
    }

    private String resized(List<String> inputs) {
      return onnx.node(
          "Resize",
          inputs,
          new Attribute("mode", "nearest"),
          new Attribute("coordinate_transformation_mode", "asymmetric"),
          new Attribute("nearest_mode", "floor"));
    }

    private Tensor extreme(String operator, Tensor x, int dimension) {
      return new Tensor(
          onnx.node(
              operator, names(x), attribute("axis", (long) dimension), attribute("keepdims", 0L)),
          DType.I64,
          x.rank - 1);
    }

    /** |a|^2 + |b|^2 - 2ab: a table of [M,V], where differences would be [M,V,C]. */
    private Tensor distances(Tensor a, Tensor b) {
      return new Tensor(
          onnx.node(
              OnnxGraph.MICROSOFT,
              "CDist",
              List.of(a.name, b.name),
              new Attribute("metric", "euclidean")),
          a.type,
          2);
    }

    private Tensor converted(Tensor x, DType type) {
      return x.type == type ? x : new Tensor(cast(x.name, type), type, x.rank);
    }

    private String cast(String name, DType type) {
      return onnx.node("Cast", List.of(name), attribute("to", (long) OnnxGraph.code(type)));
    }

    private String shape(Tensor x) {
      return shape(x, 0, x.rank);
    }

    private String shape(Tensor x, int from, int to) {
      return onnx.node(
          "Shape", names(x), attribute("start", (long) from), attribute("end", (long) to));
    }

    private String scalar(Object value, Tensor beside) {
      double number = ((Number) value).doubleValue();
      if (Double.isNaN(number) || Double.isInfinite(number)) {
        throw new GraphException("The scalar " + number + " is no number that ONNX takes.");
      }
      return beside.type.isFloating()
          ? onnx.scalar(number, beside.type)
          : onnx.integer((long) number);
    }

    private static Tensor like(Tensor x, String name) {
      return new Tensor(name, x.type, x.rank);
    }
  }

  private static boolean isQuantized(Value value) {
    return (value.op() == Op.CONV2D || value.op() == Op.LINEAR)
        && QUANTIZED.contains(value.inputs().get(1).op());
  }

  private static String weightName(Value dequantized) {
    return (String) dequantized.inputs().get(0).attributes().get(0);
  }

  private static List<Value> ofQuantizedLayer(Value layer) {
    List<Value> weight = layer.inputs().get(1).inputs();
    return Arrays.asList(
        layer.inputs().get(0), weight.get(0), weight.get(1), layer.inputs().get(2));
  }

  private static List<String> names(Tensor... tensors) {
    return Arrays.stream(tensors).map(Tensor::name).toList();
  }

  /** Names of all inputs; what is absent at the end is left out, what is absent before is empty. */
  private static List<String> present(List<Tensor> in) {
    List<String> names = new ArrayList<>();
    in.forEach(tensor -> names.add(tensor == null ? "" : tensor.name));
    while (names.get(names.size() - 1).isEmpty()) {
      names.remove(names.size() - 1);
    }
    return names;
  }

  private static Attribute attribute(String name, long value) {
    return new Attribute(name, value);
  }

  private static Attribute attribute(String name, float value) {
    return new Attribute(name, value);
  }

  private static int integer(Object attribute) {
    return Math.toIntExact(((Number) attribute).longValue());
  }

  private static float number(Object attribute) {
    return ((Number) attribute).floatValue();
  }

  private static long[] longs(Object attribute) {
    return ((List<?>) attribute).stream().mapToLong(each -> ((Number) each).longValue()).toArray();
  }

  private static int dimension(Object attribute, int rank) {
    int dimension = integer(attribute);
    return dimension < 0 ? dimension + rank : dimension;
  }

  private static long[] identity(int rank) {
    long[] order = new long[rank];
    Arrays.setAll(order, i -> i);
    return order;
  }
}
