/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import org.apache.flink.annotation.Internal;

/**
 * How gradients change weights. Each is a description: an engine does the arithmetic where the
 * weights are, and keeps the moments beside them.
 *
 * <p>The learning rate is no part of it, since it changes from step to step.
 */
@Internal
public sealed interface Optimizer {

  /**
   * Adam (Kingma and Ba 2015), as {@code torch.optim.Adam}.
   *
   * @param beta1 decay of the first moment
   * @param beta2 decay of the second moment
   * @param epsilon added to the root of the second moment
   * @param weightDecay L2 penalty, added to the gradient
   */
  record Adam(double beta1, double beta2, double epsilon, double weightDecay) implements Optimizer {
    public static final Adam DEFAULT = new Adam(0.9, 0.999, 1e-8, 0);

    public Adam {
      checkBetas(beta1, beta2);
      check("epsilon", epsilon);
      check("weight decay", weightDecay);
    }
  }

  /**
   * AdamW (Loshchilov and Hutter 2019), as {@code torch.optim.AdamW}.
   *
   * @param beta1 decay of the first moment
   * @param beta2 decay of the second moment
   * @param epsilon added to the root of the second moment
   * @param weightDecay decoupled: weights shrink by the learning rate times this
   */
  record AdamW(double beta1, double beta2, double epsilon, double weightDecay)
      implements Optimizer {
    public static final AdamW DEFAULT = new AdamW(0.9, 0.999, 1e-8, 0.0);

    public AdamW {
      checkBetas(beta1, beta2);
      check("epsilon", epsilon);
      check("weight decay", weightDecay);
    }
  }

  /**
   * Lion (Chen et al. 2023): the sign of an interpolated momentum. Keeps one moment instead of two.
   *
   * @param beta1 share of the momentum in the update
   * @param beta2 decay of the momentum
   * @param weightDecay decoupled, as AdamW's
   */
  record Lion(double beta1, double beta2, double weightDecay) implements Optimizer {
    public static final Lion DEFAULT = new Lion(0.9, 0.99, 0);

    public Lion {
      checkBetas(beta1, beta2);
      check("weight decay", weightDecay);
    }
  }

  /**
   * Adafactor (Shazeer and Stern 2018), as {@code torch.optim.Adafactor}: the second moment of a
   * matrix is kept as its rows' and columns' means, and there is no first moment.
   *
   * @param beta2Decay exponent of the step in the second moment's decay, negative
   * @param epsilon1 least root of the second moment
   * @param epsilon2 least scale of a parameter; the learning rate is relative to the scale
   * @param updateLimit greatest root mean square of an update
   * @param weightDecay decoupled, as AdamW's
   */
  record Adafactor(
      double beta2Decay, double epsilon1, double epsilon2, double updateLimit, double weightDecay)
      implements Optimizer {
    /** torch's defaults; epsilon1 is float32's. */
    public static final Adafactor DEFAULT = new Adafactor(-0.8, 0x1p-23, 1e-3, 1, 0);

    public Adafactor {
      if (!(beta2Decay < 0)) {
        throw new IllegalArgumentException(
            "Adafactor's beta2 decay is %s; it must be negative.".formatted(beta2Decay));
      }
      check("epsilon 1", epsilon1);
      check("epsilon 2", epsilon2);
      check("update limit", updateLimit);
      check("weight decay", weightDecay);
    }
  }

  private static void checkBetas(double beta1, double beta2) {
    if (!(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1)) {
      throw new IllegalArgumentException(
          "An optimizer's betas are %s and %s; each must be at least 0 and less than 1."
              .formatted(beta1, beta2));
    }
  }

  private static void check(String what, double value) {
    if (!(value >= 0 && value < Double.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException(
          "An optimizer's %s is %s; it must be finite and at least 0.".formatted(what, value));
    }
  }
}
