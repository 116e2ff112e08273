/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import org.apache.flink.annotation.Internal;

/**
 * How much of an exponential moving average of the weights stays at a step; as diffusers' {@code
 * EMAModel}.
 *
 * @param greatest the highest decay, mostly 0.999 to 0.9999
 * @param least the lowest decay after the first update
 * @param afterSteps updates during which the average is the weights themselves
 * @param inverseGamma 0 for (1 + n) / (10 + n) at the n-th update; else 1 - (1 + n /
 *     inverseGamma)^-power ({@code use_ema_warmup})
 * @param power 2/3 for trainings of a million steps, 3/4 for shorter ones
 */
@Internal
public record AverageDecay(
    double greatest, double least, int afterSteps, double inverseGamma, double power) {

  public AverageDecay {
    if (!(greatest >= least && least >= 0 && greatest < 1)
        || afterSteps < 0
        || !(inverseGamma >= 0)
        || !(power > 0)) {
      throw new IllegalArgumentException(
          "An average needs 0 <= least <= greatest < 1, afterSteps >= 0, inverseGamma >= 0 and power > 0, not %s, %s, %d, %s and %s."
              .formatted(least, greatest, afterSteps, inverseGamma, power));
    }
  }

  /** diffusers' defaults: short at first, so that the random beginning is forgotten. */
  public AverageDecay(double greatest) {
    this(greatest, 0, 0, 0, 2.0 / 3);
  }

  /**
   * The decay of an update.
   *
   * @param update counted from 1
   */
  public double at(int update) {
    int n = Math.max(0, update - afterSteps - 1);
    if (n == 0) {
      return 0;
    }
    double rising =
        inverseGamma > 0 ? 1 - Math.pow(1 + n / inverseGamma, -power) : (1.0 + n) / (10.0 + n);
    return Math.max(least, Math.min(greatest, rising));
  }
}
