/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnx;

import static io.github.flinkdiffusion.ops.onnx.ModelTensor.names;
import static io.github.flinkdiffusion.ops.onnx.OpAttributes.dimension;
import static io.github.flinkdiffusion.ops.onnx.OpAttributes.integer;
import static io.github.flinkdiffusion.ops.onnx.OpAttributes.longs;
import static io.github.flinkdiffusion.ops.onnx.OpAttributes.number;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.GraphException;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.onnx.OnnxGraph.Attribute;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.TensorPlace;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.apache.flink.annotation.Internal;

/**
 * Turns one method of a {@link Graph} into an ONNX model whose weights stay in their files.
 *
 * <p>Models are of ONNX's operator set 23 and of ONNX Runtime's own operators, where one stands for
 * several: {@code FusedMatMul} takes a linear layer's weight as checkpoints have it, without a
 * transposed copy; {@code MultiHeadAttention} splits heads itself; {@code QuickGelu} is SiLU.
 *
 * <p>This class goes through the values of a method, one case for each operation. What takes more
 * than one node is in {@link WeightedLayers}, {@link Normalizations}, {@link AttentionNodes} and
 * {@link Layouts}.
 */
@Internal
public final class OnnxEmitter {
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

  private final class Emission {
    private final Method method;
    private final OnnxGraph onnx = new OnnxGraph();
    private final TensorNodes nodes = new TensorNodes(onnx);
    private final Layouts layouts = new Layouts(nodes);
    private final Normalizations norms = new Normalizations(nodes);
    private final AttentionNodes attentions = new AttentionNodes(nodes);
    private final WeightedLayers layers =
        new WeightedLayers(nodes, graph, precision, places, locations);
    private final Map<Value, ModelTensor> tensors = new IdentityHashMap<>();

    Emission(Method method) {
      this.method = method;
    }

    byte[] model() {
      for (Value input : method.inputs()) {
        List<Object> about = input.attributes();
        ModelTensor tensor =
            new ModelTensor((String) about.get(0), (DType) about.get(1), (Integer) about.get(2));
        onnx.input(tensor.name(), tensor.type(), tensor.rank());
        tensors.put(input, tensor);
      }
      int index = 0;
      for (Value result : method.results()) {
        ModelTensor tensor = compute(result);
        onnx.output(result(index++), tensor.name(), tensor.type(), tensor.rank());
      }
      return onnx.model(method.name());
    }

    /** Emits what {@code root} needs, inputs first; iterative, because networks are deep. */
    private ModelTensor compute(Value root) {
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
                .orElseGet(
                    () ->
                        WeightedLayers.isQuantized(value)
                            ? WeightedLayers.quantizedInputs(value)
                            : value.inputs());
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
          List<ModelTensor> in = new ArrayList<>();
          inputs.forEach(input -> in.add(input == null ? null : tensors.get(input)));
          tensors.put(value, emit(value, in));
        }
      }
      return tensors.get(root);
    }

    private ModelTensor emit(Value value, List<ModelTensor> in) {
      List<Object> a = value.attributes();
      var packed = PackedAttention.of(value);
      if (packed.isPresent()) {
        return attentions.packedAttention(packed.get(), in);
      }
      if (WeightedLayers.isQuantized(value)) {
        return layers.quantizedLayer(value, in);
      }
      ModelTensor x = in.isEmpty() ? null : in.get(0);
      return switch (value.op()) {
        case INPUT ->
            throw new GraphException(
                "Method %s uses the argument %s of another method."
                    .formatted(method.name(), a.get(0)));
        case PARAMETER -> layers.parameter((String) a.get(0));
        case CONSTANT -> {
          float[] data = graph.constants().get((String) a.get(0));
          String name = onnx.numbers("c_" + a.get(0), DType.F32, new long[] {data.length}, data);
          yield new ModelTensor(name, DType.F32, 1);
        }
        case CONV2D, LINEAR -> layers.layer(value, in);
        case GROUP_NORM -> norms.groupNorm(in, integer(a.get(0)), number(a.get(1)));
        case LAYER_NORM -> norms.layerNorm(in, integer(a.get(0)), number(a.get(1)));
        case RMS_NORM -> norms.rmsNorm(in, integer(a.get(0)), number(a.get(1)));
        case SILU ->
            x.like(
                onnx.node(
                    OnnxGraph.MICROSOFT, "QuickGelu", names(x), Attribute.number("alpha", 1f)));
        case MISH -> x.like(onnx.node("Mish", names(x)));
        case RELU -> x.like(onnx.node("Relu", names(x)));
        case SIGMOID -> x.like(onnx.node("Sigmoid", names(x)));
        case TANH -> x.like(onnx.node("Tanh", names(x)));
        case GELU -> x.like(onnx.node("Gelu", names(x)));
        case GELU_TANH -> x.like(onnx.node("Gelu", names(x), new Attribute("approximate", "tanh")));
        case SIN -> x.like(onnx.node("Sin", names(x)));
        case COS -> x.like(onnx.node("Cos", names(x)));
        case EXP -> x.like(onnx.node("Exp", names(x)));
        case LOG -> x.like(onnx.node("Log", names(x)));
        case SQRT -> x.like(onnx.node("Sqrt", names(x)));
        case FLOOR -> x.like(onnx.node("Floor", names(x)));
        case ROTATE -> attentions.rotated(in, (Boolean) a.get(1));
        case MATRIX_PRODUCT -> nodes.binary("MatMul", in);
        case SOFTMAX -> x.like(onnx.node("Softmax", names(x), Attribute.integer("axis", -1L)));
        case ATTENTION -> attentions.attention(in, (Boolean) a.get(0));
        case ADD -> nodes.binary("Add", in);
        case SUBTRACT -> nodes.binary("Sub", in);
        case MULTIPLY -> nodes.binary("Mul", in);
        case DIVIDE -> nodes.binary("Div", in);
        case ADD_SCALAR -> x.like(onnx.node("Add", List.of(x.name(), nodes.scalar(a.get(0), x))));
        case MULTIPLY_SCALAR ->
            x.like(onnx.node("Mul", List.of(x.name(), nodes.scalar(a.get(0), x))));
        case CLAMP ->
            x.like(
                onnx.node(
                    "Clip",
                    List.of(x.name(), nodes.scalar(a.get(0), x), nodes.scalar(a.get(1), x))));
        case CONCATENATE -> layouts.concatenation(in, integer(a.get(0)));
        case NARROW -> layouts.narrowed(x, integer(a.get(0)), integer(a.get(1)), integer(a.get(2)));
        case NARROW_AS -> layouts.narrowed(x, in.get(1), a);
        case INDICES -> {
          int from = dimension(a.get(0), x.rank());
          String length = onnx.node("Squeeze", List.of(nodes.shape(x, from, from + 1)));
          String range = onnx.node("Range", List.of(onnx.integer(0), length, onnx.integer(1)));
          yield new ModelTensor(nodes.cast(range, DType.F32), DType.F32, 1);
        }
        case TRANSPOSE -> {
          int first = dimension(a.get(0), x.rank());
          int second = dimension(a.get(1), x.rank());
          yield layouts.transposed(x, first, second);
        }
        case PERMUTE -> layouts.transposed(x, longs(a.get(0)));
        case FLATTEN ->
            layouts.flattened(x, dimension(a.get(0), x.rank()), dimension(a.get(1), x.rank()));
        case UNFLATTEN -> layouts.unflattened(x, dimension(a.get(0), x.rank()), longs(a.get(1)));
        case UNFLATTEN_AS -> {
          int of = dimension(a.get(1), in.get(1).rank());
          yield layouts.unflattened(
              x, dimension(a.get(0), x.rank()), 2, nodes.shape(in.get(1), of, of + 2));
        }
        case RESHAPE_AS ->
            new ModelTensor(
                onnx.node("Reshape", List.of(x.name(), nodes.shape(in.get(1)))),
                x.type(),
                in.get(1).rank());
        case EXPAND_AS ->
            new ModelTensor(
                onnx.node("Expand", List.of(x.name(), nodes.shape(in.get(1)))),
                x.type(),
                in.get(1).rank());
        case UNSQUEEZE ->
            new ModelTensor(
                onnx.node("Unsqueeze", List.of(x.name(), onnx.integers(integer(a.get(0))))),
                x.type(),
                x.rank() + 1);
        case SQUEEZE ->
            new ModelTensor(
                onnx.node("Squeeze", List.of(x.name(), onnx.integers(integer(a.get(0))))),
                x.type(),
                x.rank() - 1);
        case PAD -> layouts.padded(x, a, "constant");
        case PAD_REFLECT -> layouts.padded(x, a, "reflect");
        case UPSAMPLE_NEAREST -> {
          float factor = integer(a.get(0));
          String scales =
              onnx.numbers("x" + a.get(0), DType.F32, new long[] {4}, 1, 1, factor, factor);
          yield x.like(layouts.resized(List.of(x.name(), "", scales)));
        }
        case UPSAMPLE_NEAREST_AS -> {
          String sizes =
              onnx.node(
                  "Concat",
                  List.of(nodes.shape(x, 0, 2), nodes.shape(in.get(1), 2, 4)),
                  Attribute.integer("axis", 0L));
          yield x.like(layouts.resized(List.of(x.name(), "", "", sizes)));
        }
        case AVERAGE_POOL -> pooled("AveragePool", x, a);
        case MAX_POOL -> pooled("MaxPool", x, a);
        case EMBEDDING -> {
          ModelTensor table = in.get(1);
          yield new ModelTensor(
              onnx.node("Gather", List.of(table.name(), x.name())), table.type(), x.rank() + 1);
        }
        case EQUALS_SCALAR -> {
          String number =
              x.type().isFloating()
                  ? onnx.scalar(integer(a.get(0)), x.type())
                  : onnx.integer(integer(a.get(0)));
          String equal = onnx.node("Equal", List.of(x.name(), number));
          yield new ModelTensor(nodes.cast(equal, DType.F32), DType.F32, x.rank());
        }
        case ARGMAX -> extreme("ArgMax", x, integer(a.get(0)));
        case ARGMIN -> extreme("ArgMin", x, integer(a.get(0)));
        case SELECT_ROW -> {
          String indices = onnx.node("Unsqueeze", List.of(in.get(1).name(), onnx.integers(1)));
          yield new ModelTensor(
              onnx.node(
                  "GatherND", List.of(x.name(), indices), Attribute.integer("batch_dims", 1L)),
              x.type(),
              x.rank() - 1);
        }
        case DISTANCES -> distances(x, in.get(1));
        case CAST_AS -> nodes.converted(x, in.get(1).type());
        case DEQUANTIZE -> layers.dequantized(x, in.get(1).name(), in.get(1).type());
        case DEQUANTIZE_GROUPS ->
            layers.dequantizedGroups(value, in.get(1).name(), in.get(1).type());
        case TO_FLOAT -> nodes.converted(x, DType.F32);
        case MEAN_ALONG ->
            x.like(
                onnx.node(
                    "ReduceMean",
                    List.of(x.name(), onnx.integers(integer(a.get(0)))),
                    Attribute.integer("keepdims", 1L)));
        case MEAN, MEAN_SQUARED_ERROR, MEAN_ABSOLUTE_ERROR, DROPOUT, DETACH ->
            throw new GraphException(
                "Method %s computes %s, which training needs: ONNX Runtime trains no networks; use the engine pytorch."
                    .formatted(method.name(), value.op()));
      };
    }

    private ModelTensor pooled(String operator, ModelTensor x, List<Object> a) {
      long kernel = integer(a.get(0));
      long stride = integer(a.get(1));
      long padding = integer(a.get(2));
      return x.like(
          onnx.node(
              operator,
              names(x),
              Attribute.of("kernel_shape", kernel, kernel),
              Attribute.of("strides", stride, stride),
              Attribute.of("pads", padding, padding, padding, padding)));
    }

    private ModelTensor extreme(String operator, ModelTensor x, int dimension) {
      return new ModelTensor(
          onnx.node(
              operator,
              names(x),
              Attribute.integer("axis", (long) dimension),
              Attribute.integer("keepdims", 0L)),
          DType.I64,
          x.rank() - 1);
    }

    /** |a|^2 + |b|^2 - 2ab: a table of [M,V], where differences would be [M,V,C]. */
    private ModelTensor distances(ModelTensor a, ModelTensor b) {
      return new ModelTensor(
          onnx.node(
              OnnxGraph.MICROSOFT,
              "CDist",
              List.of(a.name(), b.name()),
              new Attribute("metric", "euclidean")),
          a.type(),
          2);
    }
  }
}
