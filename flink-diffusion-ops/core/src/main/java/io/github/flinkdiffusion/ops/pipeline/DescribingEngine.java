/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engine;
import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.Tensor;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import java.util.function.Predicate;

/**
 * Loads nothing, and computes nothing. A pipeline on it knows which requests its model accepts: the
 * configs, and the names and shapes of the weights, say that.
 */
final class DescribingEngine implements Engine {
  /** No engine of a class path has such a name. */
  static final String NAME = "(describes only)";

  static final Engine INSTANCE = new DescribingEngine();

  private DescribingEngine() {}

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public String version() {
    return NAME;
  }

  @Override
  public int gpuCount() {
    return 0;
  }

  @Override
  public Network load(Program program, DeviceSpec device) {
    return new Described();
  }

  @Override
  public TrainableNetwork train(
      Program program, DeviceSpec device, Arithmetic arithmetic, Predicate<String> trained) {
    throw refused();
  }

  private static EngineException refused() {
    return new EngineException("The model is described only; open it to run its networks.");
  }

  private static final class Described implements Network {
    @Override
    public HostTensor.Floats call(String method, Tensor... inputs) {
      throw refused();
    }

    @Override
    public Kept callKeepingRows(String method, Tensor... inputs) {
      throw refused();
    }

    @Override
    public void close() {}
  }
}
