/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import org.apache.flink.annotation.Internal;

/**
 * A result that stayed on the device. It may be an input of any network of the same engine on the
 * same device, any number of times, until it is closed.
 */
@Internal
public non-sealed interface DeviceTensor extends Tensor, AutoCloseable {
  /**
   * A copy on the heap: integers as int64, all else as float32.
   *
   * @throws EngineException if it is closed
   */
  HostTensor toHost();

  /** Frees its memory, once. */
  @Override
  void close();
}
