package io.github.flinkdiffusion.ops.engine;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
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

  /** Arguments of a call as native tensors that belong to {@code scope}. */
  static NDList arguments(NDManager scope, String method, HostTensor... inputs) {
    NDList list = new NDList(inputs.length + 1);
    for (HostTensor input : inputs) {
      list.add(toNative(scope, input));
    }
    if (!method.equals("forward")) {
      NDArray marker = scope.create(new Shape(0));
      marker.setName(METHOD_MARKER + method);
      list.add(marker);
    }
    return list;
  }

  private static NDArray toNative(NDManager scope, HostTensor tensor) {
    Shape shape = new Shape(tensor.shape());
    return tensor instanceof HostTensor.Floats floats
        ? scope.create(FloatBuffer.wrap(floats.data()), shape, DataType.FLOAT32)
        : scope.create(LongBuffer.wrap(((HostTensor.Longs) tensor).data()), shape, DataType.INT64);
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
}
