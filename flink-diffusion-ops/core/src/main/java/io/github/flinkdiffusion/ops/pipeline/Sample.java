/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import java.util.List;

/**
 * What a trajectory has come to, ready to be decoded: its sample, or for a preview a small stand-in
 * of it.
 *
 * @param request what is being made
 * @param rows the request's conditions, one for each row of a network call
 * @param shape of the values; a stand-in's is smaller than the trajectory's
 * @param values [channels, height, width], as the scheduler leaves them: latents or -1..1; the
 *     receiver's own, to be changed in place if that helps
 */
record Sample(GenerationRequest request, List<Row> rows, SampleShape shape, float[] values) {
  Sample {
    if (values.length != shape.size()) {
      throw new IllegalArgumentException(
          "%d values for a sample of %s, which has %d"
              .formatted(values.length, shape, shape.size()));
    }
  }

  /** One after the other, as a network takes them: [N, channels, height, width]. */
  static HostTensor.Floats batch(List<Sample> samples) {
    SampleShape shape = samples.get(0).shape();
    float[] all = new float[samples.size() * shape.size()];
    for (int i = 0; i < samples.size(); i++) {
      System.arraycopy(samples.get(i).values(), 0, all, i * shape.size(), shape.size());
    }
    return new HostTensor.Floats(
        all, samples.size(), shape.channels(), shape.height(), shape.width());
  }
}
