/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.scheduler.TrainingLevels;
import org.apache.flink.annotation.Internal;

/**
 * Where a Huber loss goes from squared to linear at a noise level, as diffusers' training programs
 * have it ({@code --huber_schedule}).
 *
 * @param schedule how it depends on the level
 * @param least the threshold ({@code --huber_c}), or the one at most noise
 */
@Internal
public record HuberThreshold(Schedule schedule, double least) {
  /** diffusers' default. */
  public static final HuberThreshold DEFAULT = new HuberThreshold(Schedule.SNR, 0.1);

  /** How a threshold depends on the noise level. */
  public enum Schedule {
    CONSTANT,
    /** From 1 without noise to the least, exponentially in the level. */
    EXPONENTIAL,
    /** (1 - least) / (1 + sigma)^2 + least, with sigma = noise / signal. */
    SNR
  }

  public HuberThreshold {
    if (!(least > 0 && least <= 1)) {
      throw new IllegalArgumentException(
          "The least Huber threshold is %s; it must be above 0 and at most 1.".formatted(least));
    }
  }

  /** The threshold at a level. */
  public double at(TrainingLevels levels, int level) {
    return switch (schedule) {
      case CONSTANT -> least;
      case EXPONENTIAL -> Math.exp(Math.log(least) * level / levels.count());
      case SNR -> {
        double sum = 1 + levels.noise(level) / levels.signal(level);
        yield (1 - least) / (sum * sum) + least;
      }
    };
  }
}
