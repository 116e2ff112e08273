/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torch;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDArrays;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import io.github.flinkdiffusion.ops.engine.DeviceMemoryException;
import io.github.flinkdiffusion.ops.engine.DeviceTensor;
import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.StackedTensor;
import io.github.flinkdiffusion.ops.engine.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.util.Locale;

/**
 * What inference and training share: tensors in, tensors out, and what an error of the library
 * means.
 */
final class TensorCalls {
  /**
   * DJL takes the method's name from an argument that is named so; that argument itself is not
   * passed on.
   */
  private static final String METHOD_MARKER = "module_method:";

  private TensorCalls() {}

  /**
   * Arguments of a call as native tensors; those that are made of the heap's belong to {@code
   * scope}.
   */
  static NDList arguments(NDManager scope, String method, Tensor... inputs) {
    NDList list = new NDList(inputs.length + 1);
    for (Tensor input : inputs) {
      list.add(toNative(scope, input));
    }
    if (!method.equals("forward")) {
      NDArray marker = scope.create(new Shape(0));
      marker.setName(METHOD_MARKER + method);
      list.add(marker);
    }
    return list;
  }

  private static NDArray toNative(NDManager scope, Tensor tensor) {
    if (tensor instanceof HostTensor.Floats floats) {
      return scope.create(
          FloatBuffer.wrap(floats.data()), new Shape(floats.shape()), DataType.FLOAT32);
    }
    if (tensor instanceof HostTensor.Longs longs) {
      return scope.create(LongBuffer.wrap(longs.data()), new Shape(longs.shape()), DataType.INT64);
    }
    if (tensor instanceof StackedTensor stacked) {
      NDList rows = new NDList();
      stacked.parts().forEach(row -> rows.add(TorchTensor.array(row)));
      NDArray joined = NDArrays.concat(rows, 0);
      joined.attach(scope);
      return joined;
    }
    return TorchTensor.array((DeviceTensor) tensor);
  }

  static HostTensor.Floats toHost(NDArray array) {
    long[] shape = array.getShape().getShape();
    ByteBuffer bytes = array.toByteBuffer().order(ByteOrder.nativeOrder());
    float[] data = new float[bytes.remaining() / Float.BYTES];
    bytes.asFloatBuffer().get(data);
    return new HostTensor.Floats(data, shape);
  }

  /** Out of memory is worth a smaller batch; anything else is not. */
  static EngineException translate(String what, RuntimeException e) {
    String message = String.valueOf(e.getMessage());
    String lower = message.toLowerCase(Locale.ROOT);
    String firstLine = message.lines().findFirst().orElse("");
    if (lower.contains("out of memory")
        || lower.contains("can't allocate memory")
        || lower.contains("not enough memory")) {
      return new DeviceMemoryException(what + " ran out of device memory: " + firstLine, e);
    }
    return new EngineException(what + " failed: " + firstLine, e);
  }

  /** The first line of the library's message that has a text in it; empty if none has. */
  static String line(RuntimeException e, String text) {
    return String.valueOf(e.getMessage())
        .lines()
        .filter(line -> line.contains(text))
        .findFirst()
        .orElse("");
  }
}
