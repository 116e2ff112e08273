/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torch;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.types.DataType;
import io.github.flinkdiffusion.ops.engine.DeviceTensor;
import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.HostTensor;

/** A tensor of libtorch that outlives the call that made it. */
final class TorchTensor implements DeviceTensor {
  private final NDArray array;
  private final long[] shape;

  TorchTensor(NDArray array) {
    this.array = array;
    this.shape = array.getShape().getShape();
  }

  /**
   * @throws EngineException if it is of another engine, or closed
   */
  static NDArray array(DeviceTensor tensor) {
    if (!(tensor instanceof TorchTensor ours)) {
      throw new EngineException(
          "An input is a tensor of another engine (%s), which libtorch cannot read; bring it to the heap first."
              .formatted(tensor.getClass().getSimpleName()));
    }
    if (ours.array.isReleased()) {
      throw new EngineException(
          "A tensor on the device is used after it or its network was closed.");
    }
    return ours.array;
  }

  @Override
  public long[] shape() {
    return shape.clone();
  }

  @Override
  public HostTensor toHost() {
    NDArray held = array(this);
    if (held.getDataType() == DataType.FLOAT32) {
      return TensorCalls.toHost(held);
    }
    try {
      if (held.getDataType().isFloating()) {
        try (NDArray floats = held.toType(DataType.FLOAT32, false)) {
          return TensorCalls.toHost(floats);
        }
      }
      try (NDArray longs = held.toType(DataType.INT64, true)) {
        return new HostTensor.Longs(longs.toLongArray(), shape());
      }
    } catch (RuntimeException e) {
      throw TensorCalls.translate("Reading a tensor from the device", e);
    }
  }

  @Override
  public void close() {
    array.close();
  }
}
