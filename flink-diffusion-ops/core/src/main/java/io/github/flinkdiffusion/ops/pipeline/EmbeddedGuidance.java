/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import org.apache.flink.annotation.Internal;

/**
 * The guidance scale as an input of the network, in place of a second row: what networks that were
 * distilled under guidance take (LCM, section 4.1 of Luo et al. 2023).
 */
@Internal
public final class EmbeddedGuidance {
  private static final float LONGEST_PERIOD = 10000;
  private static final float UNIT = 1000;

  private EmbeddedGuidance() {}

  /**
   * Sines, then cosines of the scale at falling frequencies. In float32, as the reference computes
   * it: its rounding of large angles shows.
   *
   * @param scale as classifier-free guidance has it; 1 is none
   * @param size of the embedding, {@code time_cond_proj_dim}
   */
  public static float[] of(double scale, int size) {
    int half = size / 2;
    float weight = (float) (scale - 1) * UNIT;
    float step = (float) Math.log(LONGEST_PERIOD) / (half - 1);
    float[] embedding = new float[size];
    for (int i = 0; i < half; i++) {
      float angle = weight * (float) Math.exp(i * -step);
      embedding[i] = (float) Math.sin(angle);
      embedding[half + i] = (float) Math.cos(angle);
    }
    return embedding;
  }
}
