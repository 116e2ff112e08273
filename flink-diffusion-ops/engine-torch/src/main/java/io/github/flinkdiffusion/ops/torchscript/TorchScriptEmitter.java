/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torchscript;

import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.GraphException;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Op;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.StringJoiner;
import java.util.stream.Collectors;

/** Turns a {@link Graph} into the text of a TorchScript class, one statement per operation. */
final class TorchScriptEmitter {
  /** ScalarType::Float of c10/core/ScalarType.h. */
  private static final int FLOAT32 = 6;

  /** ScalarType::BFloat16. */
  private static final int BFLOAT16 = 15;

  /** MemoryFormat::ChannelsLast of c10/core/MemoryFormat.h. */
  private static final int CHANNELS_LAST = 2;

  private static final String CONVOLUTION = "few_pixels_convolution";

  /** Elements of a weight from which a product is faster: 640 x 640 channels, 3 x 3. */
  private static final long PRODUCTS_FROM = 3 << 20;

  /** Pixels of a result, of all rows of a call together, up to which a product is faster. */
  private static final int PRODUCTS_UP_TO_PIXELS = 128;

  private static final String UPSAMPLED_CONVOLUTION = "upsampled_convolution";

  /** Pixels before upsampling from which summing up the weights takes less than it saves. */
  private static final int SUMMED_FROM_PIXELS = 256;

  private static final String ROTATED_PAIRS = "rotated_pairs";
  private static final String ROTATED_HALVES = "rotated_halves";

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
    if (methods.indexOf(CONVOLUTION) >= 0) {
      text.append(convolutionMethod());
    }
    if (methods.indexOf(UPSAMPLED_CONVOLUTION) >= 0) {
      text.append(upsampledConvolutionMethod());
    }
    if (methods.indexOf(ROTATED_PAIRS) >= 0) {
      text.append(rotation(ROTATED_PAIRS));
    }
    if (methods.indexOf(ROTATED_HALVES) >= 0) {
      text.append(rotation(ROTATED_HALVES));
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
      List<Value> inputs = isUpsampledConvolution(value) ? upsampled(value) : value.inputs();
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
      return upsampledConvolution(value, names);
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
              ? "(self)."
                  + CONVOLUTION
                  + "(%s, %s, %s, %s, %s)".formatted(in[0], in[1], in[2], a.get(0), a.get(1))
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
                  (Boolean) a.get(1) ? ROTATED_PAIRS : ROTATED_HALVES,
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

  /** A convolution, 3 x 3, of what is twice as large only because each pixel stands there twice. */
  private boolean isUpsampledConvolution(Value value) {
    if (convolutions != Convolutions.FOR_X86_FLOAT32 || value.op() != Op.CONV2D) {
      return false;
    }
    Value image = value.inputs().get(0);
    Value weight = value.inputs().get(1);
    Value bias = value.inputs().get(2);
    boolean upsampled =
        image.op() == Op.UPSAMPLE_NEAREST_AS
            || image.op() == Op.UPSAMPLE_NEAREST && image.attributes().get(0).equals(2);
    return upsampled
        && uses.getOrDefault(image, 0) == 1
        && value.attributes().equals(List.of(1, 1, 1))
        && weight.op() == Op.PARAMETER
        && graph.parameterShapes().get((String) weight.attributes().get(0))[2] == 3
        && bias != null
        && !mayBeProduct(value);
  }

  /**
   * What an upsampled convolution reads: what is upsampled, weight, bias, and what tells a size.
   */
  private static List<Value> upsampled(Value convolution) {
    List<Value> values = new ArrayList<>(convolution.inputs());
    List<Value> before = values.get(0).inputs();
    values.set(0, before.get(0));
    values.addAll(before.subList(1, before.size()));
    return values;
  }

  private static String upsampledConvolution(Value convolution, Map<Value, String> names) {
    List<String> in = upsampled(convolution).stream().map(names::get).toList();
    String like = in.size() > 3 ? in.get(3) : in.get(0);
    int times = in.size() > 3 ? 1 : 2;
    return "(self).%s(%s, %s, %s, %s, %s)"
        .formatted(
            UPSAMPLED_CONVOLUTION,
            in.get(0),
            call("mul", times, call("size", like, 2)),
            call("mul", times, call("size", like, 3)),
            in.get(1),
            in.get(2));
  }

  /**
   * Where each pixel stands twice in both directions, the nine products of a result are of four
   * pixels only: four convolutions of 2 x 2, one for each place of a result in its square, with
   * sums of the weights, take 4/9 of the products and need no upsampled image.
   */
  private String upsampledConvolutionMethod() {
    StringBuilder places = new StringBuilder();
    for (int place = 0; place < 4; place++) {
      int right = place / 2;
      int below = place % 2;
      String part = call("narrow", "parts", 1, call("mul", place, "channels"), "channels");
      part = call("narrow", part, 2, below, "height");
      part = call("narrow", part, 3, right, "width");
      String to =
          channelsLast
              ? call("select", call("select", "squares", 4, right), 2, below)
              : call("select", call("select", "squares", 5, right), 3, below);
      places.append(
          "      copied%d = %s\n"
              .formatted(
                  place,
                  call("copy_", to, channelsLast ? call("permute", part, "[0, 2, 3, 1]") : part)));
    }
    String flat =
        channelsLast
            ? call("flatten", call("flatten", "squares", 3, 4), 1, 2)
            : call("flatten", call("flatten", "squares", 4, 5), 2, 3);
    return """
      def %s(self: __torch__.Net,
        x: Tensor,
        full_height: int,
        full_width: int,
        weight: Tensor,
        bias: Tensor) -> Tensor:
        rows = torch.size(x, 0)
        height = torch.size(x, 2)
        width = torch.size(x, 3)
        channels = torch.size(weight, 0)
        doubled = torch.__and__(torch.eq(full_height, torch.mul(2, height)), torch.eq(full_width, torch.mul(2, width)))
        if torch.__and__(doubled, torch.ge(torch.mul(height, width), %d)):
          above = torch.narrow(weight, 2, 0, 1)
          middle = torch.narrow(weight, 2, 1, 1)
          below = torch.narrow(weight, 2, 2, 1)
          upper = torch.cat([above, torch.add(middle, below)], 2)
          lower = torch.cat([torch.add(above, middle), below], 2)
          both = torch.cat([upper, lower], 0)
          left = torch.narrow(both, 3, 0, 1)
          center = torch.narrow(both, 3, 1, 1)
          right = torch.narrow(both, 3, 2, 1)
          first = torch.cat([left, torch.add(center, right)], 3)
          second = torch.cat([torch.add(left, center), right], 3)
          sums = torch.cat([first, second], 0)
          parts = torch.conv2d(x, sums, torch.cat([bias, bias, bias, bias], 0), [1, 1], [1, 1], [1, 1], 1)
          squares = torch.new_empty(parts, %s)
    %s      result = %s
        else:
          image = torch.upsample_nearest2d(x, [full_height, full_width], None)
          result = torch.conv2d(image, weight, bias, [1, 1], [1, 1], [1, 1], 1)
        return result
    """
        .formatted(
            UPSAMPLED_CONVOLUTION,
            SUMMED_FROM_PIXELS,
            channelsLast
                ? "[rows, height, 2, width, 2, channels]"
                : "[rows, channels, height, 2, width, 2]",
            places,
            channelsLast ? call("permute", flat, "[0, 3, 1, 2]") : flat);
  }

  /** Kernels of one pixel are products in the library, too. */
  private boolean mayBeProduct(Value convolution) {
    Value weight = convolution.inputs().get(1);
    Value bias = convolution.inputs().get(2);
    if (!convolution.attributes().get(2).equals(1)
        || convolutions != Convolutions.FOR_X86_FLOAT32
        || weight.op() != Op.PARAMETER
        || bias == null) {
      return false;
    }
    long[] shape = graph.parameterShapes().get((String) weight.attributes().get(0));
    return shape[2] > 1 && Graph.elements(shape) >= PRODUCTS_FROM;
  }

  /** The method that decides by the sizes of a call, which the graph does not know. */
  private static String convolutionMethod() {
    return """
      def %s(self: __torch__.Net,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        stride: int,
        padding: int) -> Tensor:
        rows = torch.size(x, 0)
        kernel_height = torch.size(weight, 2)
        kernel_width = torch.size(weight, 3)
        height = %s
        width = %s
        if torch.le(torch.mul(torch.mul(rows, height), width), %d):
          patches = torch.im2col(x, [kernel_height, kernel_width], [1, 1], [padding, padding], [stride, stride])
          columns = torch.flatten(torch.transpose(patches, 0, 1), 1)
          product = torch.addmm(torch.unsqueeze(bias, 1), torch.flatten(weight, 1), columns)
          pixels = torch.transpose(torch.unflatten(product, 1, [rows, height, width]), 0, 1)
          result = torch.contiguous(pixels)
        else:
          result = torch.conv2d(x, weight, bias, [stride, stride], [padding, padding], [1, 1], 1)
        return result
    """
        .formatted(
            CONVOLUTION,
            convolvedSize(2, "kernel_height"),
            convolvedSize(3, "kernel_width"),
            PRODUCTS_UP_TO_PIXELS);
  }

  /** Rotary embedding: the angles are float32, so the products are, too. */
  private static String rotation(String name) {
    boolean pairs = name.equals(ROTATED_PAIRS);
    return """
      def %s(self: __torch__.Net,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        half: int) -> Tensor:
        precise = torch.to(x, %d)
        c = torch.unsqueeze(cos, 1)
        s = torch.unsqueeze(sin, 1)
    %s    first = torch.sub(torch.mul(a, c), torch.mul(b, s))
        second = torch.add(torch.mul(b, c), torch.mul(a, s))
        return torch.type_as(%s, x)
    """
        .formatted(
            name,
            FLOAT32,
            pairs
                ? """
                    split = torch.unflatten(precise, -1, [half, 2])
                    a = torch.select(split, -1, 0)
                    b = torch.select(split, -1, 1)
                """
                : """
                    a = torch.narrow(precise, -1, 0, half)
                    b = torch.narrow(precise, -1, half, half)
                """,
            pairs
                ? "torch.flatten(torch.stack([first, second], -1), -2, -1)"
                : "torch.cat([first, second], -1)");
  }

  private static String convolvedSize(int dimension, String kernel) {
    String padded = call("add", call("size", "x", dimension), call("mul", 2, "padding"));
    return call("add", call("floordiv", call("sub", padded, kernel), "stride"), 1);
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

  private static String call(String function, Object... arguments) {
    StringJoiner text = new StringJoiner(", ", "torch." + function + "(", ")");
    for (Object argument : arguments) {
      text.add(argument.toString());
    }
    return text.toString();
  }

  private static String pair(Object value) {
    return "[" + value + ", " + value + "]";
  }

  private static String bool(boolean value) {
    return value ? "True" : "False";
  }

  /**
   * A Python float literal: it must hold a point or an exponent, or TorchScript reads an integer.
   */
  private static String number(Object value) {
    double number = ((Number) value).doubleValue();
    if (Double.isNaN(number) || Double.isInfinite(number)) {
      throw new GraphException("The scalar " + number + " has no literal in TorchScript.");
    }
    return Double.toString(number).toLowerCase(Locale.ROOT);
  }
}
