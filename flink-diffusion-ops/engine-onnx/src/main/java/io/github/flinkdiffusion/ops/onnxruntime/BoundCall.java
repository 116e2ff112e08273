/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnxruntime;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Tensor;
import io.github.flinkdiffusion.ops.onnx.OnnxEmitter;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The tensors of a call's arguments that are on the heap, kept for the next call with the same
 * shapes. Making them anew, and a result with them, takes 0.04 ms of a tiny network's 1.2 ms.
 *
 * <p>A call is made in one or more parts, each of some rows; a row is an element of the first
 * dimension of every argument and of the result.
 */
final class BoundCall implements AutoCloseable {
  /** Bytes of a result up to which memory for the next one is kept. */
  private static final long KEPT_UP_TO = 1L << 20;

  static final String FIRST = OnnxEmitter.result(0);
  static final String SECOND = OnnxEmitter.result(1);

  /** Type and shape of an argument. */
  private record Kind(Class<? extends HostTensor> type, long[] shape) {
    static Kind of(HostTensor tensor) {
      return new Kind(tensor.getClass(), tensor.shape().clone());
    }

    boolean is(HostTensor tensor) {
      return tensor.getClass() == type && Arrays.equals(tensor.shape(), shape);
    }
  }

  private final OrtEnvironment environment;

  /** Of each argument; null for one that is not on the heap. */
  private final List<Kind> kinds = new ArrayList<>();

  private final List<ByteBuffer> memory;
  private final List<Map<String, OnnxTensor>> parts = new ArrayList<>();

  /** One for each part once the shape of the result is known, else empty. */
  private final List<OnnxTensor> results = new ArrayList<>();

  private ByteBuffer resultMemory;
  private long[] resultShape;

  /**
   * @param names of the arguments
   * @param memory of the arguments, at least as large for those on the heap; belongs to the caller
   * @param parts more than one only where all arguments have so many rows
   * @param inputs of which those on the heap are bound
   */
  BoundCall(
      OrtEnvironment environment,
      List<String> names,
      List<ByteBuffer> memory,
      int parts,
      Tensor... inputs)
      throws OrtException {
    this.environment = environment;
    for (Tensor input : inputs) {
      kinds.add(input instanceof HostTensor onHeap ? Kind.of(onHeap) : null);
    }
    this.memory = List.copyOf(memory);
    try {
      for (int part = 0; part < parts; part++) {
        Map<String, OnnxTensor> arguments = new HashMap<>();
        this.parts.add(arguments);
        for (int i = 0; i < inputs.length; i++) {
          if (inputs[i] instanceof HostTensor onHeap) {
            arguments.put(names.get(i), argument(onHeap, memory.get(i), part, parts));
          }
        }
      }
    } catch (OrtException | RuntimeException e) {
      close();
      throw e;
    }
  }

  private OnnxTensor argument(HostTensor input, ByteBuffer of, int part, int parts)
      throws OrtException {
    long[] shape = input.shape().clone();
    int bytes = bytes(input);
    int from = 0;
    if (parts > 1) {
      int rows = (int) shape[0];
      int row = bytes / rows;
      from = first(part, parts, rows) * row;
      shape[0] = first(part + 1, parts, rows) - first(part, parts, rows);
      bytes = (int) shape[0] * row;
    }
    ByteBuffer elements = of.slice(from, bytes).order(ByteOrder.nativeOrder());
    return tensor(environment, input, elements, shape);
  }

  /** A tensor of an argument's type whose elements are in native memory. */
  static OnnxTensor tensor(
      OrtEnvironment environment, HostTensor like, ByteBuffer elements, long[] shape)
      throws OrtException {
    return like instanceof HostTensor.Floats
        ? OnnxTensor.createTensor(environment, elements.asFloatBuffer(), shape)
        : OnnxTensor.createTensor(environment, elements.asLongBuffer(), shape);
  }

  /** Copies an argument to native memory. */
  static void put(HostTensor tensor, ByteBuffer to) {
    if (tensor instanceof HostTensor.Floats floats) {
      to.asFloatBuffer().put(floats.data());
    } else {
      to.asLongBuffer().put(((HostTensor.Longs) tensor).data());
    }
  }

  /** The first row of a part. */
  static int first(int part, int parts, int rows) {
    return part * rows / parts;
  }

  static int bytes(HostTensor tensor) {
    return tensor instanceof HostTensor.Floats floats
        ? Math.multiplyExact(floats.data().length, Float.BYTES)
        : Math.multiplyExact(((HostTensor.Longs) tensor).data().length, Long.BYTES);
  }

  /** Whether a call with these arguments, in so many parts, has these tensors. */
  boolean fits(int count, Tensor... inputs) {
    for (int i = 0; i < inputs.length; i++) {
      Kind kind = kinds.get(i);
      boolean alike =
          inputs[i] instanceof HostTensor onHeap ? kind != null && kind.is(onHeap) : kind == null;
      if (!alike) {
        return false;
      }
    }
    return count == parts.size();
  }

  /** Copies the arguments to where the tensors are. */
  void write(Tensor... inputs) {
    for (int i = 0; i < inputs.length; i++) {
      if (inputs[i] instanceof HostTensor onHeap) {
        put(onHeap, memory.get(i).duplicate().order(ByteOrder.nativeOrder()).rewind());
      }
    }
  }

  /**
   * Computes a part; its first result goes to the memory that is kept for it, if there is some.
   *
   * @param onDevice further arguments
   * @param second whether the method's second result is asked for, too
   */
  OrtSession.Result run(
      int part, OrtSession session, Map<String, OnnxTensor> onDevice, boolean second)
      throws OrtException {
    Map<String, OnnxTensor> arguments = parts.get(part);
    if (!onDevice.isEmpty()) {
      arguments = new HashMap<>(arguments);
      arguments.putAll(onDevice);
    }
    Set<String> asked = new LinkedHashSet<>();
    if (results.isEmpty()) {
      asked.add(FIRST);
    }
    if (second) {
      asked.add(SECOND);
    }
    return session.run(
        arguments, asked, results.isEmpty() ? Map.of() : Map.of(FIRST, results.get(part)));
  }

  /** One of the results of a part. */
  static OnnxTensor of(OrtSession.Result part, String result) {
    return (OnnxTensor) part.get(result).orElseThrow();
  }

  /** Whether the first results of parts are in memory that is kept. */
  boolean keepsFirst() {
    return !results.isEmpty();
  }

  /**
   * The result of all parts.
   *
   * @param ofParts what {@link #run} gave, in order
   */
  HostTensor.Floats result(List<OrtSession.Result> ofParts) throws OrtException {
    if (results.isEmpty()) {
      HostTensor.Floats result = joined(ofParts);
      keep(ofParts, result);
      return result;
    }
    float[] data = new float[resultMemory.capacity() / Float.BYTES];
    resultMemory.asFloatBuffer().get(data);
    return new HostTensor.Floats(data, resultShape.clone());
  }

  private static HostTensor.Floats joined(List<OrtSession.Result> ofParts) {
    if (ofParts.size() == 1) {
      return OnnxRuntimeTensor.floats(of(ofParts.get(0), FIRST));
    }
    List<HostTensor.Floats> each = new ArrayList<>();
    int elements = 0;
    long rows = 0;
    for (OrtSession.Result part : ofParts) {
      HostTensor.Floats its = OnnxRuntimeTensor.floats(of(part, FIRST));
      each.add(its);
      elements = Math.addExact(elements, its.data().length);
      rows += its.shape()[0];
    }
    float[] data = new float[elements];
    int at = 0;
    for (HostTensor.Floats its : each) {
      System.arraycopy(its.data(), 0, data, at, its.data().length);
      at += its.data().length;
    }
    long[] shape = each.get(0).shape().clone();
    shape[0] = rows;
    return new HostTensor.Floats(data, shape);
  }

  /** Keeps memory for the next result, if it is of float32 and small. */
  private void keep(List<OrtSession.Result> ofParts, HostTensor.Floats result) throws OrtException {
    long bytes = (long) result.data().length * Float.BYTES;
    OnnxTensor first = of(ofParts.get(0), FIRST);
    if (bytes > KEPT_UP_TO || first.getInfo().type != OnnxJavaType.FLOAT) {
      return;
    }
    resultMemory = ByteBuffer.allocateDirect((int) bytes).order(ByteOrder.nativeOrder());
    resultShape = result.shape().clone();
    int at = 0;
    for (OrtSession.Result part : ofParts) {
      long[] shape = of(part, FIRST).getInfo().getShape();
      int length = Float.BYTES;
      for (long each : shape) {
        length *= (int) each;
      }
      ByteBuffer elements = resultMemory.slice(at, length).order(ByteOrder.nativeOrder());
      results.add(OnnxTensor.createTensor(environment, elements.asFloatBuffer(), shape));
      at += length;
    }
  }

  @Override
  public void close() {
    parts.forEach(arguments -> arguments.values().forEach(OnnxTensor::close));
    results.forEach(OnnxTensor::close);
  }
}
