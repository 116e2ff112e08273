/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torchscript;

import static io.github.flinkdiffusion.ops.torchscript.TorchScriptText.BFLOAT16;
import static io.github.flinkdiffusion.ops.torchscript.TorchScriptText.CHANNELS_LAST;
import static io.github.flinkdiffusion.ops.torchscript.TorchScriptText.FLOAT32;
import static io.github.flinkdiffusion.ops.torchscript.TorchScriptText.bool;
import static io.github.flinkdiffusion.ops.torchscript.TorchScriptText.call;
import static io.github.flinkdiffusion.ops.torchscript.TorchScriptText.number;
import static io.github.flinkdiffusion.ops.torchscript.TorchScriptText.pair;

import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.GraphException;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Op;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayDeque;
import java.util.Collections;
import java.util.Deque;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Turns a {@link Graph} into the text of a TorchScript class, one statement per operation. What is
 * a method of its own in the text is a class of its own here.
 */
final class TorchScriptEmitter {
  private final Graph graph;
  private final Arithmetic arithmetic;
  private final Convolutions convolutions;
  private final Optional<MappedParameters> mapped;
  private final boolean channelsLast;
  private final Map<String, String> identifiers = new LinkedHashMap<>();

  /** Of the method that is being emitted; empty where nothing may be overwritten. */
  private Map<Value, Integer> uses = Map.of();

  /**
   * @param mapped where parameters lie that the archive does not hold; empty for one that holds all
   */
  TorchScriptEmitter(
      Graph graph,
      Arithmetic arithmetic,
      Convolutions convolutions,
      Optional<MappedParameters> mapped) {
    this.mapped = mapped;
    this.graph = graph;
    this.arithmetic = arithmetic;
    this.convolutions = convolutions;
    this.channelsLast = convolutions == Convolutions.FOR_X86_FLOAT32 && isConvolutional(graph);
    Map<String, String> taken = new LinkedHashMap<>();
    graph.parameterShapes().keySet().forEach(name -> register(name, taken));
    graph.constants().keySet().forEach(name -> register(name, taken));
  }

  /** Whether most weights are convolutions', as in networks of pixels and not in transformers. */
  private static boolean isConvolutional(Graph graph) {
    Set<Value> seen = Collections.newSetFromMap(new IdentityHashMap<>());
    Deque<Value> pending = new ArrayDeque<>();
    graph.methods().forEach(method -> pending.addAll(method.results()));
    int convolutions = 0;
    int linears = 0;
    while (!pending.isEmpty()) {
      Value value = pending.pop();
      if (seen.add(value)) {
        convolutions += value.op() == Op.CONV2D ? 1 : 0;
        linears += value.op() == Op.LINEAR ? 1 : 0;
        value.inputs().stream().filter(Objects::nonNull).forEach(pending::push);
      }
    }
    return convolutions > linears;
  }

  private void register(String name, Map<String, String> taken) {
    String identifier = "w_" + name.replace('.', '_').replace('-', '_');
    String other = taken.putIfAbsent(identifier, name);
    if (other != null) {
      throw new GraphException(
          "Tensors " + other + " and " + name + " would share the identifier " + identifier + ".");
    }
    identifiers.put(name, identifier);
  }

  /** The attribute that holds the tensor of that name in the archive. */
  String identifier(String tensor) {
    return identifiers.get(tensor);
  }

  /** The content of {@code code/__torch__.py}. */
  String source() {
    StringBuilder text = new StringBuilder("class Net(Module):\n");
    // Mapped ones are plain attributes: DJL makes an array of its own for each parameter.
    text.append("  __parameters__ = ")
        .append(names(mapped.isPresent() ? List.of() : graph.parameterShapes().keySet()))
        .append("\n");
    text.append("  __buffers__ = ").append(names(graph.constants().keySet())).append("\n");
    text.append("  training : bool\n");
    identifiers.values().forEach(id -> text.append("  ").append(id).append(" : Tensor\n"));
    StringBuilder methods = new StringBuilder();
    for (Method method : graph.methods()) {
      emit(method, methods);
    }
    if (methods.indexOf(FewPixelsConvolution.METHOD) >= 0) {
      text.append(FewPixelsConvolution.method());
    }
    if (methods.indexOf(UpsampledConvolution.METHOD) >= 0) {
      text.append(UpsampledConvolution.method(channelsLast));
    }
    if (methods.indexOf(RotaryMethods.PAIRS) >= 0) {
      text.append(RotaryMethods.method(RotaryMethods.PAIRS));
    }
    if (methods.indexOf(RotaryMethods.HALVES) >= 0) {
      text.append(RotaryMethods.method(RotaryMethods.HALVES));
    }
    text.append(methods);
    mapped.ifPresent(parameters -> text.append(parameters.method(identifiers::get)));
    return text.toString();
  }

  private String names(Iterable<String> tensors) {
    StringBuilder list = new StringBuilder("[");
    tensors.forEach(name -> list.append('"').append(identifiers.get(name)).append("\", "));
    return list.append("]").toString();
  }

  private void emit(Method method, StringBuilder text) {
    if (method.results().isEmpty()) {
      throw new GraphException("Method " + method.name() + " returns nothing.");
    }
    Map<Value, String> names = new IdentityHashMap<>();
    uses = convolutions == Convolutions.FOR_X86_FLOAT32 ? uses(method) : Map.of();
    text.append("  def ").append(method.name()).append("(self: __torch__.Net");
    for (Value input : method.inputs()) {
      String name = "a_" + input.attributes().get(0);
      names.put(input, name);
      text.append(",\n    ").append(name).append(": Tensor");
    }
    String type =
        method.results().size() == 1
            ? "Tensor"
            : method.results().stream()
                .map(v -> "Tensor")
                .collect(Collectors.joining(", ", "Tuple[", "]"));
    text.append(") -> ").append(type).append(":\n");
    for (Value result : method.results()) {
      compute(result, names, text, method);
    }
    String values =
        method.results().stream()
            .map(names::get)
            // Who reads a result's memory expects rows after channels.
            .map(name -> channelsLast ? call("contiguous", name) : name)
            .collect(Collectors.joining(", "));
    text.append("    return ")
        .append(method.results().size() == 1 ? values : "(" + values + ")")
        .append("\n");
  }

  /** How often each value of a method is read, or returned. */
  private static Map<Value, Integer> uses(Method method) {
    Map<Value, Integer> uses = new IdentityHashMap<>();
    Deque<Value> pending = new ArrayDeque<>(method.results());
    while (!pending.isEmpty()) {
      Value value = pending.pop();
      if (uses.merge(value, 1, Integer::sum) == 1) {
        value.inputs().stream().filter(Objects::nonNull).forEach(pending::push);
      }
    }
    return uses;
  }

  /**
   * Whether a value's memory may take the result: nobody else reads it, and it is no view of
   * another's. Written to where it was read, a result of a convolution's size takes a third of the
   * time.
   */
  private boolean mayBeOverwritten(Value value) {
    return uses.getOrDefault(value, 0) == 1
        && (value.op() == Op.CONV2D || value.op() == Op.GROUP_NORM);
  }

  /** Sums are of the shape of a convolution's result: the other one is added to it. */
  private String sum(List<Value> values, String[] in) {
    for (int i = 0; i < 2; i++) {
      if (values.get(i).op() == Op.CONV2D && mayBeOverwritten(values.get(i))) {
        return call("add_", in[i], in[1 - i]);
      }
    }
    return call("add", in[0], in[1]);
  }

  /** Emits what {@code root} needs, inputs first; iterative, because networks are deep. */
  private void compute(Value root, Map<Value, String> names, StringBuilder text, Method method) {
    Deque<Value> pending = new ArrayDeque<>();
    pending.push(root);
    while (!pending.isEmpty()) {
      Value value = pending.peek();
      if (names.containsKey(value)) {
        pending.pop();
        continue;
      }
      boolean ready = true;
      List<Value> inputs =
          isUpsampledConvolution(value) ? UpsampledConvolution.inputs(value) : value.inputs();
      for (int i = inputs.size() - 1; i >= 0; i--) {
        Value input = inputs.get(i);
        if (input != null && !names.containsKey(input)) {
          pending.push(input);
          ready = false;
        }
      }
      if (!ready) {
        continue;
      }
      pending.pop();
      switch (value.op()) {
        case PARAMETER, CONSTANT ->
            names.put(value, "self." + identifiers.get((String) value.attributes().get(0)));
        case INPUT ->
            throw new GraphException(
                "Method "
                    + method.name()
                    + " uses the argument "
                    + value.attributes().get(0)
                    + " of another method.");
        default -> {
          String name = "v" + names.size();
          text.append("    ")
              .append(name)
              .append(" = ")
              .append(expression(value, names))
              .append("\n");
          names.put(value, name);
        }
      }
    }
  }

  private String expression(Value value, Map<Value, String> names) {
    if (isUpsampledConvolution(value)) {
      return UpsampledConvolution.expression(value, names);
    }
    List<Object> a = value.attributes();
    String[] in =
        value.inputs().stream().map(i -> i == null ? "None" : names.get(i)).toArray(String[]::new);
    if (arithmetic == Arithmetic.MIXED_BFLOAT16) {
      if (isMatrixProduct(value.op())) {
        for (int i = 0; i < in.length; i++) {
          in[i] = in[i].equals("None") ? in[i] : call("to", in[i], BFLOAT16);
        }
      }
      if (value.op() == Op.GROUP_NORM) {
        // The gradient of group_norm over the channels-last tensors that bfloat16 convolutions
        // return is six times slower.
        in[0] = call("contiguous", in[0]);
      }
      if (value.op() == Op.ATTENTION && !(Boolean) a.get(0)) {
        // Written out: on the CPU the gradient of the fused kernel takes four times longer for
        // short sequences.
        String scale = "torch.pow(torch.size(" + in[0] + ", 3), -0.5)";
        String scores = call("matmul", call("mul", in[0], scale), call("transpose", in[1], 2, 3));
        scores = in[3].equals("None") ? scores : call("add", scores, in[3]);
        return call("matmul", call("softmax", scores, -1), in[2]);
      }
    }
    if (channelsLast && value.op() == Op.CONV2D) {
      in[0] = "torch.contiguous(" + in[0] + ", memory_format=" + CHANNELS_LAST + ")";
    }
    return switch (value.op()) {
      case CONV2D ->
          mayBeProduct(value)
              ? FewPixelsConvolution.expression(in, a.get(0), a.get(1))
              : call(
                  "conv2d",
                  in[0],
                  in[1],
                  in[2],
                  pair(a.get(0)),
                  pair(a.get(1)),
                  "[1, 1]",
                  a.get(2));
      case LINEAR -> call("linear", in[0], in[1], in[2]);
      case GROUP_NORM -> call("group_norm", in[0], a.get(0), in[1], in[2], number(a.get(1)));
      case LAYER_NORM ->
          call("layer_norm", in[0], "[" + a.get(0) + "]", in[1], in[2], number(a.get(1)));
      case RMS_NORM -> call("rms_norm", in[0], "[" + a.get(0) + "]", in[1], number(a.get(1)));
      case SILU -> call(mayBeOverwritten(value.inputs().get(0)) ? "silu_" : "silu", in[0]);
      case MISH -> call("mish", in[0]);
      case RELU -> call("relu", in[0]);
      case SIGMOID -> call("sigmoid", in[0]);
      case TANH -> call("tanh", in[0]);
      case GELU -> call("gelu", in[0]);
      case GELU_TANH -> "torch.gelu(" + in[0] + ", approximate=\"tanh\")";
      case SIN -> call("sin", in[0]);
      case COS -> call("cos", in[0]);
      case EXP -> call("exp", in[0]);
      case LOG -> call("log", in[0]);
      case SQRT -> call("sqrt", in[0]);
      case FLOOR -> call("floor", in[0]);
      case DROPOUT -> call("dropout", in[0], number(a.get(0)), bool(true));
      case DETACH -> call("detach", in[0]);
      case ATTENTION ->
          call(
              "scaled_dot_product_attention",
              in[0],
              in[1],
              in[2],
              in[3],
              "0.",
              bool((Boolean) a.get(0)));
      case ROTATE ->
          "(self).%s(%s, %s, %s, %s)"
              .formatted(
                  (Boolean) a.get(1) ? RotaryMethods.PAIRS : RotaryMethods.HALVES,
                  in[0],
                  in[1],
                  in[2],
                  a.get(0));
      case MATRIX_PRODUCT -> call("matmul", in[0], in[1]);
      case SOFTMAX -> call("softmax", in[0], -1);
      case ADD -> sum(value.inputs(), in);
      case SUBTRACT -> call("sub", in[0], in[1]);
      case MULTIPLY -> call("mul", in[0], in[1]);
      case DIVIDE -> call("div", in[0], in[1]);
      case ADD_SCALAR -> call("add", in[0], number(a.get(0)));
      case MULTIPLY_SCALAR -> call("mul", in[0], number(a.get(0)));
      case CLAMP -> call("clamp", in[0], number(a.get(0)), number(a.get(1)));
      case CONCATENATE -> call("cat", "[" + String.join(", ", in) + "]", a.get(0));
      case NARROW -> call("narrow", in[0], a.get(0), a.get(1), a.get(2));
      case NARROW_AS -> {
        String length = call("size", in[1], a.get(1));
        Object start =
            (Boolean) a.get(2) ? call("sub", call("size", in[0], a.get(0)), length) : "0";
        yield call("narrow", in[0], a.get(0), start, length);
      }
      case INDICES -> {
        String ones =
            "torch.new_ones(%s, [%s], dtype=%d)"
                .formatted(in[0], call("size", in[0], a.get(0)), FLOAT32);
        yield call("sub", call("cumsum", ones, 0), 1);
      }
      case TRANSPOSE -> call("transpose", in[0], a.get(0), a.get(1));
      case PERMUTE -> call("permute", in[0], a.get(0));
      case FLATTEN -> call("flatten", in[0], a.get(0), a.get(1));
      case UNFLATTEN -> call("unflatten", in[0], a.get(0), a.get(1));
      case UNFLATTEN_AS -> {
        int of = (Integer) a.get(1);
        String sizes = "[%s, %s]".formatted(call("size", in[1], of), call("size", in[1], of + 1));
        yield call("unflatten", in[0], a.get(0), sizes);
      }
      case RESHAPE_AS -> call("reshape_as", in[0], in[1]);
      case UNSQUEEZE -> call("unsqueeze", in[0], a.get(0));
      case SQUEEZE -> call("squeeze", in[0], a.get(0));
      case PAD -> call("constant_pad_nd", in[0], a.toString(), "0");
      case PAD_REFLECT -> call("reflection_pad2d", in[0], a.toString());
      case UPSAMPLE_NEAREST -> {
        String factor = number(((Number) a.get(0)).doubleValue());
        yield call("upsample_nearest2d", in[0], "None", "[" + factor + ", " + factor + "]");
      }
      case UPSAMPLE_NEAREST_AS ->
          call(
              "upsample_nearest2d",
              in[0],
              "[torch.size(" + in[1] + ", 2), torch.size(" + in[1] + ", 3)]",
              "None");
      case AVERAGE_POOL ->
          call(
              "avg_pool2d",
              in[0],
              pair(a.get(0)),
              pair(a.get(1)),
              pair(a.get(2)),
              bool(false),
              bool(false));
      case MAX_POOL -> call("max_pool2d", in[0], pair(a.get(0)), pair(a.get(1)), pair(a.get(2)));
      case EMBEDDING -> call("embedding", in[1], in[0]);
      case EQUALS_SCALAR -> call("to", call("eq", in[0], a.get(0)), FLOAT32);
      case ARGMAX -> call("argmax", in[0], a.get(0));
      case ARGMIN -> call("argmin", in[0], a.get(0));
      case SELECT_ROW -> {
        String indices = call("unsqueeze", call("unsqueeze", in[1], 1), 2);
        yield call("squeeze", call("take_along_dim", in[0], indices, 1), 1);
      }
      case DISTANCES -> call("cdist", in[0], in[1]);
      case EXPAND_AS -> call("expand_as", in[0], in[1]);
      case CAST_AS -> call("type_as", in[0], in[1]);
      case DEQUANTIZE -> {
        String places = "[-1" + ", 1".repeat((Integer) a.get(0) - 1) + "]";
        yield call("mul", call("type_as", in[0], in[1]), call("reshape", in[1], places));
      }
      case DEQUANTIZE_GROUPS -> dequantizedGroups(in, (List<?>) a.get(0));
      case TO_FLOAT -> call("to", in[0], FLOAT32);
      case MEAN_ALONG -> call("mean", in[0], "[" + a.get(0) + "]", "True");
      case MEAN -> call("mean", in[0]);
      case MEAN_SQUARED_ERROR -> call("mse_loss", in[0], in[1]);
      case MEAN_ABSOLUTE_ERROR -> call("l1_loss", in[0], in[1]);
      case INPUT, PARAMETER, CONSTANT ->
          throw new IllegalStateException(value.op() + " is no expression");
    };
  }

  private boolean isUpsampledConvolution(Value value) {
    return convolutions == Convolutions.FOR_X86_FLOAT32
        && UpsampledConvolution.is(graph, value)
        && uses.getOrDefault(value.inputs().get(0), 0) == 1;
  }

  private boolean mayBeProduct(Value convolution) {
    return convolutions == Convolutions.FOR_X86_FLOAT32
        && FewPixelsConvolution.mayBe(graph, convolution);
  }

  private static boolean isMatrixProduct(Op op) {
    return op == Op.CONV2D || op == Op.LINEAR || op == Op.ATTENTION;
  }

  private static String dequantizedGroups(String[] in, List<?> shape) {
    long columns = 1;
    for (Object size : shape.subList(1, shape.size())) {
      columns *= (Long) size;
    }
    String halves =
        call(
            "stack",
            "["
                + call("bitwise_and", in[0], 15)
                + ", "
                + call("bitwise_right_shift", in[0], 4)
                + "]",
            -1);
    String numbers = call("sub", call("type_as", halves, in[1]), 8);
    String groups = call("reshape", numbers, "[" + shape.get(0) + ", -1, 32]");
    String product = call("mul", groups, call("unsqueeze", in[1], -1));
    String rows = call("flatten", product, 1);
    return call("reshape", call("narrow", rows, 1, 0, columns), shape);
  }
}
