/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.scheduler.TrainingLevels;
import org.apache.flink.annotation.Internal;

/** How much the loss at a noise level counts. */
@Internal
public sealed interface LossWeight {
  /** All levels count the same. */
  LossWeight UNIFORM = new Uniform();

  /** The weight at a level, for a network that predicts a target. */
  double at(TrainingLevels levels, int level, PredictionTarget target);

  /** All levels count the same, whatever is predicted. */
  record Uniform() implements LossWeight {
    @Override
    public double at(TrainingLevels levels, int level, PredictionTarget target) {
      return 1;
    }
  }

  /**
   * The weight that makes a loss of any prediction equal to the unweighted loss of the noise: SNR
   * for the clean sample, SNR / (SNR + 1) for v.
   */
  record Snr() implements LossWeight {
    @Override
    public double at(TrainingLevels levels, int level, PredictionTarget target) {
      return forPrediction(1, levels, level, target);
    }
  }

  /**
   * min(SNR, gamma) as the weight of the clean sample (Hang et al. 2023), as diffusers' {@code
   * --snr_gamma}.
   *
   * @param gamma mostly 5
   */
  record MinSnr(double gamma) implements LossWeight {
    public MinSnr {
      if (!(gamma > 0)) {
        throw new IllegalArgumentException(
            "min-SNR's gamma is %s; it must be above 0.".formatted(gamma));
      }
    }

    @Override
    public double at(TrainingLevels levels, int level, PredictionTarget target) {
      return forPrediction(Math.min(1, gamma / levels.snr(level)), levels, level, target);
    }
  }

  /**
   * P2 (Choi et al. 2022): 1 / (k + SNR)^gamma as the weight of the noise's loss.
   *
   * @param gamma mostly 0.5 or 1
   * @param k mostly 1
   */
  record P2(double gamma, double k) implements LossWeight {
    public P2 {
      if (!(gamma >= 0 && k > 0)) {
        throw new IllegalArgumentException(
            "P2's gamma is %s and its k %s; they must be at least 0 and above 0."
                .formatted(gamma, k));
      }
    }

    @Override
    public double at(TrainingLevels levels, int level, PredictionTarget target) {
      return forPrediction(Math.pow(k + levels.snr(level), -gamma), levels, level, target);
    }
  }

  /**
   * The weight of a prediction's loss that equals a weight of the noise's.
   *
   * @param ofNoise weight of the squared error of the noise
   */
  private static double forPrediction(
      double ofNoise, TrainingLevels levels, int level, PredictionTarget target) {
    double snr = levels.snr(level);
    return switch (target) {
      case EPSILON -> ofNoise;
      case SAMPLE -> ofNoise * snr;
      case V -> ofNoise * snr / (snr + 1);
      // At a known noisy sample, the error is the clean sample's over the noise level.
      case FLOW -> ofNoise * levels.signal(level) * levels.signal(level);
    };
  }
}
