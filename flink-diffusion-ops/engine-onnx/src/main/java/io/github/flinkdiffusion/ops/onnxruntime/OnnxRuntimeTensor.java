/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnxruntime;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import io.github.flinkdiffusion.ops.engine.DeviceTensor;
import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;

/** A result of ONNX Runtime that outlives the call that made it. */
final class OnnxRuntimeTensor implements DeviceTensor {
  private static final AtomicInteger OPEN = new AtomicInteger();

  private final OnnxTensor tensor;
  private final Consumer<OnnxRuntimeTensor> onClose;
  private final AtomicBoolean closed = new AtomicBoolean();

  OnnxRuntimeTensor(OnnxTensor tensor, Consumer<OnnxRuntimeTensor> onClose) {
    this.tensor = tensor;
    this.onClose = onClose;
    OPEN.incrementAndGet();
  }

  /** Those of this process that are not closed. */
  static int open() {
    return OPEN.get();
  }

  /**
   * @throws EngineException if it is of another engine, or closed
   */
  static OnnxTensor tensor(DeviceTensor tensor) {
    if (!(tensor instanceof OnnxRuntimeTensor ours)) {
      throw new EngineException(
          "An input is a tensor of another engine (%s), which ONNX Runtime cannot read; bring it to the heap first."
              .formatted(tensor.getClass().getSimpleName()));
    }
    if (ours.closed.get()) {
      throw new EngineException(
          "A tensor on the device is used after it or its network was closed.");
    }
    return ours.tensor;
  }

  static HostTensor.Floats floats(OnnxTensor tensor) {
    FloatBuffer elements = tensor.getFloatBuffer();
    if (elements == null) {
      throw new EngineException(
          "A result is %s where floating-point numbers were expected."
              .formatted(tensor.getInfo().type));
    }
    float[] data;
    if (elements.hasArray() && elements.array().length == elements.remaining()) {
      data = elements.array();
    } else {
      data = new float[elements.remaining()];
      elements.get(data);
    }
    return new HostTensor.Floats(data, tensor.getInfo().getShape());
  }

  @Override
  public long[] shape() {
    return tensor.getInfo().getShape();
  }

  @Override
  public HostTensor toHost() {
    OnnxTensor held = tensor(this);
    if (held.getInfo().type == OnnxJavaType.INT64) {
      LongBuffer elements = held.getLongBuffer();
      long[] data = new long[elements.remaining()];
      elements.get(data);
      return new HostTensor.Longs(data, shape());
    }
    return floats(held);
  }

  @Override
  public void close() {
    if (closed.compareAndSet(false, true)) {
      OPEN.decrementAndGet();
      onClose.accept(this);
      tensor.close();
    }
  }
}
