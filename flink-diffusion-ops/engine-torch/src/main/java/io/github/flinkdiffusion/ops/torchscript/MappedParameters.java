/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torchscript;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.GraphException;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.TensorPlace;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.function.UnaryOperator;

/**
 * Parameters that an archive does not hold: a method of it maps the files that do.
 *
 * <p>The files' paths are the method's arguments, so the text names none. Offsets and shapes stand
 * in it.
 */
final class MappedParameters {
  /** The method; no network's own has the name. */
  static final String METHOD = "map_parameters";

  /** A file is mapped once for each type that it is read as. */
  private record Mapping(int file, DType dtype) {
    String variable() {
      return dtype.name().toLowerCase(Locale.ROOT) + "_" + file;
    }
  }

  /** What a device is called in TorchScript; the CPU uses the mapped memory itself. */
  private final String device;

  private final Map<String, long[]> shapes;
  private final Map<String, TensorPlace> places = new LinkedHashMap<>();
  private final List<Path> files = new ArrayList<>();

  /**
   * @param place where a parameter lies, in its own type and at a multiple of its elements' size
   * @param device such as {@code cpu} or {@code cuda:0}
   */
  MappedParameters(Graph graph, Function<String, TensorPlace> place, String device) {
    this.device = device;
    this.shapes = graph.parameterShapes();
    for (String name : shapes.keySet()) {
      TensorPlace there = place.apply(name);
      if (there.offset() % there.dtype().bytes() != 0) {
        throw new GraphException(
            "Parameter %s lies at byte %d of %s, which is no multiple of the size of %s."
                .formatted(name, there.offset(), there.file(), there.dtype()));
      }
      places.put(name, there);
      if (!files.contains(there.file())) {
        files.add(there.file());
      }
    }
  }

  /** The method's arguments, in order. */
  List<Path> files() {
    return List.copyOf(files);
  }

  /**
   * The method's text.
   *
   * @param identifier the attribute of a parameter
   */
  String method(UnaryOperator<String> identifier) {
    StringBuilder text = new StringBuilder("  def " + METHOD + "(self: __torch__.Net");
    for (int i = 0; i < files.size(); i++) {
      text.append(",\n    path").append(i).append(": str");
    }
    text.append(") -> Tensor:\n");
    lengths()
        .forEach(
            (mapping, elements) ->
                text.append(
                    "    %s = torch.from_file(path%d, False, %d, dtype=%d)\n"
                        .formatted(
                            mapping.variable(), mapping.file, elements, number(mapping.dtype))));
    places.forEach(
        (name, place) ->
            text.append("    self.")
                .append(identifier.apply(name))
                .append(" = ")
                .append(onDevice(view(name, place), place.dtype()))
                .append("\n"));
    return text.append("    return torch.zeros([1])\n").toString();
  }

  /** How many elements each mapping has: up to the last that is used. */
  private Map<Mapping, Long> lengths() {
    Map<Mapping, Long> lengths = new LinkedHashMap<>();
    places.forEach((name, place) -> lengths.merge(mapping(place), end(name, place), Math::max));
    return lengths;
  }

  private Mapping mapping(TensorPlace place) {
    return new Mapping(files.indexOf(place.file()), place.dtype());
  }

  private long end(String name, TensorPlace place) {
    return place.offset() / place.dtype().bytes() + Graph.elements(shapes.get(name));
  }

  private String view(String name, TensorPlace place) {
    long[] shape = shapes.get(name);
    // An empty list is one of tensors, unless the text says otherwise.
    String sizes = shape.length == 0 ? "annotate(List[int], [])" : Arrays.toString(shape);
    return "torch.view(torch.narrow(%s, 0, %d, %d), %s)"
        .formatted(
            mapping(place).variable(),
            place.offset() / place.dtype().bytes(),
            Graph.elements(shape),
            sizes);
  }

  private String onDevice(String view, DType dtype) {
    return device.equals("cpu")
        ? view
        : "torch.to(%s, torch.device(\"%s\"), %d)".formatted(view, device, number(dtype));
  }

  /** Its place in c10/core/ScalarType.h. */
  private static int number(DType dtype) {
    return switch (dtype) {
      case U8 -> 0;
      case I8 -> 1;
      case I16 -> 2;
      case I32 -> 3;
      case I64 -> 4;
      case F16 -> 5;
      case F32 -> 6;
      case F64 -> 7;
      case BOOL -> 11;
      case BF16 -> 15;
      case F8_E5M2 -> 23;
      case F8_E4M3 -> 24;
    };
  }
}
