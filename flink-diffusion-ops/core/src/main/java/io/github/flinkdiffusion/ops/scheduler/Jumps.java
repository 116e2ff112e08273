/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import org.apache.flink.annotation.Internal;

/**
 * How RePaint goes back to more noise and down again, so that what is made anew fits what is known
 * (section 4.2 of Lugmayr et al. 2022; diffusers' {@code jump_length} and {@code jump_n_sample}).
 *
 * @param length steps of a jump, at least 1
 * @param samples how often the steps after each jump are made, at least 1: 1 is no jump
 */
@Internal
public record Jumps(int length, int samples) {

  /** diffusers' default. */
  public static final Jumps DEFAULT = new Jumps(10, 10);

  public Jumps {
    if (length < 1 || samples < 1) {
      throw new SchedulerException(
          "Sampling options: jumps of length %d, %d samples; both must be 1 or more"
              .formatted(length, samples));
    }
  }
}
