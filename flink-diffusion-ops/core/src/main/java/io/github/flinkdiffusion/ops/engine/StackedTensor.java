/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * Tensors on a device one after the other along their first dimension: rows that earlier calls
 * left, as one input. The engine joins them where they are; they stay as they are.
 *
 * @param parts at least one, of one engine, which differ in their first dimension alone
 */
@Internal
public record StackedTensor(List<DeviceTensor> parts) implements Tensor {
  public StackedTensor {
    parts = List.copyOf(parts);
    if (parts.isEmpty()) {
      throw new EngineException("Tensors cannot be stacked: there is none.");
    }
  }

  @Override
  public long[] shape() {
    long[] shape = parts.get(0).shape().clone();
    shape[0] = parts.stream().mapToLong(part -> part.shape()[0]).sum();
    return shape;
  }
}
