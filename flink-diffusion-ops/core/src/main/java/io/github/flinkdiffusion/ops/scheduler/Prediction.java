/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import java.util.Arrays;

/**
 * What a network's output means ({@code prediction_type}), given a sample x = alpha * image + sigma
 * * noise.
 */
enum Prediction {
  EPSILON("epsilon") {
    @Override
    Linear image(Linear x, Linear out, double alpha, double sigma) {
      return x.minus(out.times(sigma)).dividedBy(alpha);
    }

    @Override
    Linear noise(Linear x, Linear out, double alpha, double sigma) {
      return out;
    }
  },
  SAMPLE("sample") {
    @Override
    Linear image(Linear x, Linear out, double alpha, double sigma) {
      return out;
    }

    @Override
    Linear noise(Linear x, Linear out, double alpha, double sigma) {
      return x.minus(out.times(alpha)).dividedBy(sigma);
    }
  },
  VELOCITY("v_prediction") {
    @Override
    Linear image(Linear x, Linear out, double alpha, double sigma) {
      return x.times(alpha).minus(out.times(sigma));
    }

    @Override
    Linear noise(Linear x, Linear out, double alpha, double sigma) {
      return out.times(alpha).plus(x.times(sigma));
    }
  },
  /** Rectified flow: the output is noise - image, whatever alpha is. */
  FLOW("flow_prediction") {
    @Override
    Linear image(Linear x, Linear out, double alpha, double sigma) {
      return x.minus(out.times(sigma));
    }

    @Override
    Linear noise(Linear x, Linear out, double alpha, double sigma) {
      return x.plus(out.times(1 - sigma));
    }
  };

  private final String configName;

  Prediction(String configName) {
    this.configName = configName;
  }

  String configName() {
    return configName;
  }

  static Prediction named(String configName) {
    return Arrays.stream(values())
        .filter(p -> p.configName.equals(configName))
        .findFirst()
        .orElseThrow();
  }

  /** The clean image that the output implies. */
  abstract Linear image(Linear x, Linear out, double alpha, double sigma);

  /** The noise that the output implies. */
  abstract Linear noise(Linear x, Linear out, double alpha, double sigma);

  /**
   * The clean image where samples are image + sigma * noise and the network sees them scaled to
   * unit variance. A velocity is defined on the scaled sample.
   */
  Linear imageAtSigma(Linear x, Linear out, double sigma) {
    if (this == VELOCITY) {
      double scale = 1 / Math.sqrt(sigma * sigma + 1);
      return out.times(-sigma * scale).plus(x.times(scale * scale));
    }
    return image(x, out, 1, sigma);
  }
}
