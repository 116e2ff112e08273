/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.engine.Optimizer;
import org.apache.flink.annotation.Internal;

/**
 * How a training goes.
 *
 * @param optimizer how gradients change weights
 * @param rate learning rates; its total is the number of steps
 * @param average of the weights
 * @param clipNorm greatest norm of all gradients together; infinity clips nothing
 * @param accumulation batches whose gradients' mean makes a step
 * @param spikes what counts as a spike of the loss
 * @param saveEvery steps after which the state is saved
 * @param seed of what the network draws at random, such as dropout
 */
@Internal
public record TrainingSettings(
    Optimizer optimizer,
    LearningRate rate,
    AverageDecay average,
    double clipNorm,
    int accumulation,
    LossSpikes spikes,
    int saveEvery,
    long seed) {

  public TrainingSettings {
    if (!(clipNorm > 0) || accumulation < 1 || saveEvery < 1) {
      throw new IllegalArgumentException(
          "A training needs clipNorm > 0, accumulation >= 1 and saveEvery >= 1, not %s, %d and %d."
              .formatted(clipNorm, accumulation, saveEvery));
    }
  }

  /** AdamW, an average of up to 0.999, one batch a step; nothing is clipped. */
  public TrainingSettings(LearningRate rate, int saveEvery, long seed) {
    this(
        Optimizer.AdamW.DEFAULT,
        rate,
        new AverageDecay(0.999),
        Double.POSITIVE_INFINITY,
        1,
        LossSpikes.DEFAULT,
        saveEvery,
        seed);
  }

  /** What gradients of a norm are multiplied by, as {@code torch.nn.utils.clip_grad_norm_}. */
  double gradientScale(double norm) {
    return Math.min(1, clipNorm / (norm + 1e-6));
  }
}
