/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import org.apache.flink.annotation.Internal;

/**
 * A learning rate that rises linearly, then follows a shape; as diffusers' {@code get_scheduler}.
 *
 * @param shape how it goes on after the rise
 * @param peak the highest rate
 * @param warmUpSteps steps of the rise, whose first has the rate 0; 0 begins at the peak
 * @param totalSteps steps in all; the rate stays at its end value after them
 * @param cycles of {@link Shape#COSINE_WITH_RESTARTS}
 * @param least share of the peak that the rate never falls below after the rise; 0 in diffusers
 */
@Internal
public record LearningRate(
    Shape shape, double peak, int warmUpSteps, int totalSteps, int cycles, double least) {

  /** How a rate goes on after its rise. */
  public enum Shape {
    CONSTANT,
    /** Falls to the least along a line. */
    LINEAR,
    /** Falls to the least along half a cosine. */
    COSINE,
    /** Falls along half a cosine in each of the cycles, and begins each at the peak. */
    COSINE_WITH_RESTARTS
  }

  public LearningRate {
    if (!(peak > 0 && peak < Double.POSITIVE_INFINITY)
        || warmUpSteps < 0
        || totalSteps <= warmUpSteps
        || cycles < 1
        || !(least >= 0 && least <= 1)) {
      throw new IllegalArgumentException(
          "A learning rate needs a finite peak > 0, 0 <= warmUpSteps < totalSteps, cycles >= 1 and 0 <= least <= 1, not %s, %d, %d, %d and %s."
              .formatted(peak, warmUpSteps, totalSteps, cycles, least));
    }
  }

  /** A rise, then half a cosine that ends at a tenth of the peak. */
  public static LearningRate cosine(double peak, int warmUpSteps, int totalSteps) {
    return new LearningRate(Shape.COSINE, peak, warmUpSteps, totalSteps, 1, 0.1);
  }

  /** The rate at a step, counted from 0. */
  public double at(int step) {
    if (step < warmUpSteps) {
      return peak * step / warmUpSteps;
    }
    double progress = Math.min(1, (double) (step - warmUpSteps) / (totalSteps - warmUpSteps));
    double share =
        switch (shape) {
          case CONSTANT -> 1;
          case LINEAR -> 1 - progress;
          case COSINE -> cosine(progress);
          case COSINE_WITH_RESTARTS -> progress == 1 ? 0 : cosine(cycles * progress % 1);
        };
    return peak * (least + (1 - least) * share);
  }

  private static double cosine(double progress) {
    return 0.5 * (1 + Math.cos(Math.PI * progress));
  }
}
