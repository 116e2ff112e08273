/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Tensor;
import java.util.function.Supplier;

/**
 * A network that is in memory only while it is called. Its weights stay in the files that they are
 * mapped from, so loading it again costs reading them.
 */
final class ReloadedNetwork implements Network {
  private final Supplier<Network> loader;
  private boolean closed;

  /**
   * @param loader loads the network for a call; it fails if the weights are other ones than before
   */
  ReloadedNetwork(Supplier<Network> loader) {
    this.loader = loader;
  }

  @Override
  public HostTensor.Floats call(String method, Tensor... inputs) {
    if (closed) {
      throw new IllegalStateException("The network is closed.");
    }
    try (Network network = loader.get()) {
      return network.call(method, inputs);
    }
  }

  /** Nothing stays on the device of a network that leaves it. */
  @Override
  public Kept callKeepingRows(String method, Tensor... inputs) {
    throw new UnsupportedOperationException(
        "Results of a network that is unloaded after each call cannot stay on its device.");
  }

  @Override
  public void close() {
    closed = true;
  }
}
