/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnx;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.GraphException;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.HalfPrecision;
import io.github.flinkdiffusion.ops.weights.TensorPlace;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * An ONNX model under construction: nodes in the order in which they are added, initializers, and
 * what goes in and out (onnx.proto of ONNX IR version 11).
 */
final class OnnxGraph {
  /** Of the operators of ONNX itself. */
  private static final int OPSET = 23;

  private static final int IR_VERSION = 11;

  /** TensorProto.DataType of whole numbers of 4 bits. */
  private static final int UINT4 = 21;

  /** Operators that ONNX Runtime brings beside ONNX's own. */
  static final String MICROSOFT = "com.microsoft";

  /** Attributes of a node: texts, long, float or long[] by name. */
  record Attribute(String name, Object value) {
    static Attribute of(String name, long... values) {
      return new Attribute(name, values.clone());
    }

    static Attribute integer(String name, long value) {
      return new Attribute(name, value);
    }

    static Attribute number(String name, float value) {
      return new Attribute(name, value);
    }
  }

  private final ProtoWriter graph = new ProtoWriter();
  private final Map<String, ProtoWriter> initializers = new LinkedHashMap<>();
  private final Set<String> used = new LinkedHashSet<>();
  private int values;

  /** Adds a node with one result. */
  String node(String operator, List<String> inputs, Attribute... attributes) {
    return node("", operator, inputs, attributes);
  }

  String node(String domain, String operator, List<String> inputs, Attribute... attributes) {
    String result = "v" + values++;
    node(domain, operator, inputs, result, attributes);
    return result;
  }

  private void node(
      String domain, String operator, List<String> inputs, String result, Attribute... attributes) {
    ProtoWriter node = new ProtoWriter();
    inputs.forEach(input -> node.text(1, input));
    used.addAll(inputs);
    node.text(2, result);
    node.text(3, operator + "_" + result);
    node.text(4, operator);
    for (Attribute attribute : attributes) {
      node.message(5, attribute(attribute));
    }
    if (!domain.isEmpty()) {
      node.text(7, domain);
    }
    graph.message(1, node);
  }

  private static ProtoWriter attribute(Attribute attribute) {
    ProtoWriter proto = new ProtoWriter().text(1, attribute.name);
    if (attribute.value instanceof Number number && !(number instanceof Float)) {
      return proto.integer(3, number.longValue()).integer(20, 2);
    }
    if (attribute.value instanceof Float number) {
      return proto.number(2, number).integer(20, 1);
    }
    if (attribute.value instanceof String text) {
      return proto.text(4, text).integer(20, 3);
    }
    for (long number : (long[]) attribute.value) {
      proto.integer(8, number);
    }
    return proto.integer(20, 7);
  }

  /** A vector of int64. */
  String integers(long... values) {
    ByteBuffer bytes = littleEndian(values.length * Long.BYTES);
    for (long value : values) {
      bytes.putLong(value);
    }
    return initializer(
        "i" + Arrays.toString(values), DType.I64, new long[] {values.length}, bytes.array());
  }

  /** One int64, of rank 0. */
  String integer(long value) {
    byte[] bytes = littleEndian(Long.BYTES).putLong(value).array();
    return initializer("i" + value, DType.I64, new long[0], bytes);
  }

  /** One number, of rank 0 and a floating-point type. */
  String scalar(double value, DType type) {
    return initializer(
        type.name() + "(" + value + ")", type, new long[0], floats(type, (float) value));
  }

  /** Numbers of a floating-point type. */
  String numbers(String name, DType type, long[] shape, float... values) {
    return initializer(name, type, shape, floats(type, values));
  }

  private static byte[] floats(DType type, float... values) {
    ByteBuffer bytes = littleEndian(Math.multiplyExact(values.length, type.bytes()));
    for (float value : values) {
      switch (type) {
        case F32 -> bytes.putFloat(value);
        case F64 -> bytes.putDouble(value);
        case F16 -> bytes.putShort(HalfPrecision.floatToF16(value));
        case BF16 -> bytes.putShort(HalfPrecision.floatToBf16(value));
        default -> throw new GraphException("Numbers cannot be " + type + " in an ONNX model.");
      }
    }
    return bytes.array();
  }

  private String initializer(String name, DType type, long[] shape, byte[] data) {
    initializers.computeIfAbsent(name, n -> tensor(n, type, shape).bytes(9, data));
    return name;
  }

  /**
   * A tensor that stays in its file.
   *
   * @param location the file, as {@code external_data} names it
   */
  String external(String name, long[] shape, TensorPlace place, String location, long length) {
    initializers.computeIfAbsent(
        name, n -> external(tensor(n, place.dtype(), shape), place, location, length));
    return name;
  }

  private static ProtoWriter external(
      ProtoWriter tensor, TensorPlace place, String location, long length) {
    return tensor
        .message(13, entry("location", location))
        .message(13, entry("offset", Long.toString(place.offset())))
        .message(13, entry("length", Long.toString(length)))
        .integer(14, 1);
  }

  /** Numbers of 4 bits that stay in their file, two a byte, the first in the lower half. */
  String externalHalves(
      String name, long[] shape, TensorPlace place, String location, long length) {
    initializers.computeIfAbsent(
        name, n -> external(tensor(n, UINT4, shape), place, location, length));
    return name;
  }

  /** The same number of 4 bits everywhere. */
  String halves(String name, int number, long... shape) {
    byte[] bytes = new byte[Math.toIntExact((Graph.elements(shape) + 1) / 2)];
    Arrays.fill(bytes, (byte) (number << 4 | number));
    initializers.computeIfAbsent(name, n -> tensor(n, UINT4, shape).bytes(9, bytes));
    return name;
  }

  private static ProtoWriter tensor(String name, DType type, long[] shape) {
    return tensor(name, code(type), shape);
  }

  private static ProtoWriter tensor(String name, int type, long[] shape) {
    ProtoWriter tensor = new ProtoWriter();
    for (long size : shape) {
      tensor.integer(1, size);
    }
    return tensor.integer(2, type).text(8, name);
  }

  private static ProtoWriter entry(String key, String value) {
    return new ProtoWriter().text(1, key).text(2, value);
  }

  /** An argument whose sizes are known when it is called only. */
  void input(String name, DType type, int rank) {
    graph.message(11, valueInfo(name, type, rank));
  }

  /** A result: an existing value under that name. */
  void output(String name, String value, DType type, int rank) {
    node("", "Identity", List.of(value), name);
    graph.message(12, valueInfo(name, type, rank));
  }

  private static ProtoWriter valueInfo(String name, DType type, int rank) {
    ProtoWriter shape = new ProtoWriter();
    for (int i = 0; i < rank; i++) {
      shape.message(1, new ProtoWriter().text(2, name + "_" + i));
    }
    ProtoWriter tensor = new ProtoWriter().integer(1, code(type)).message(2, shape);
    return new ProtoWriter().text(1, name).message(2, new ProtoWriter().message(1, tensor));
  }

  /** The model in bytes, with the initializers that a node uses. */
  byte[] model(String name) {
    graph.text(2, name);
    initializers.forEach(
        (initializer, tensor) -> {
          if (used.contains(initializer)) {
            graph.message(5, tensor);
          }
        });
    return new ProtoWriter()
        .integer(1, IR_VERSION)
        .text(2, "flink-diffusion")
        .message(7, graph)
        .message(8, new ProtoWriter().integer(2, OPSET))
        .message(8, new ProtoWriter().text(1, MICROSOFT).integer(2, 1))
        .toBytes();
  }

  /** TensorProto.DataType. */
  static int code(DType type) {
    return switch (type) {
      case F32 -> 1;
      case U8 -> 2;
      case I8 -> 3;
      case I16 -> 5;
      case I32 -> 6;
      case I64 -> 7;
      case BOOL -> 9;
      case F16 -> 10;
      case F64 -> 11;
      case BF16 -> 16;
      case F8_E4M3 -> 17;
      case F8_E5M2 -> 19;
    };
  }

  private static ByteBuffer littleEndian(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }
}
