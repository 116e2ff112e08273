/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.noise.TorchGenerator;

/** The noise of a picture by itself: one stream, as torch's CPU generator has it. */
final class StreamNoise implements TrajectoryNoise {
  private final TorchGenerator generator;

  StreamNoise(GenerationRequest request) {
    this(new TorchGenerator(request.seed()));
  }

  private StreamNoise(TorchGenerator generator) {
    this.generator = generator;
  }

  @Override
  public float[] gaussian(SampleShape shape) {
    return generator.gaussian(shape.size());
  }

  @Override
  public TrajectoryNoise copy() {
    return new StreamNoise(generator.copy());
  }

  @Override
  public byte[] saveState() {
    return generator.saveState();
  }

  @Override
  public TrajectoryNoise restored(byte[] saved) {
    return new StreamNoise(TorchGenerator.restore(saved));
  }
}
