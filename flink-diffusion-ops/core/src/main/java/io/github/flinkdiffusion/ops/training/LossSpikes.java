/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * What counts as a spike of the loss: one that is not finite, or far above those before.
 *
 * @param window how many losses before are compared with; none is far above less than half of them
 * @param deviations how many standard deviations above their mean is far
 * @param returns how often in a row a training may return to the last good state
 */
@Internal
public record LossSpikes(int window, double deviations, int returns) {
  /** Loose enough for diffusion, whose loss depends on the noise levels of a batch. */
  public static final LossSpikes DEFAULT = new LossSpikes(100, 10, 5);

  public LossSpikes {
    if (window < 2 || !(deviations > 0) || returns < 0) {
      throw new IllegalArgumentException(
          "Loss spikes need window >= 2, deviations > 0 and returns >= 0, not %d, %s and %d."
              .formatted(window, deviations, returns));
    }
  }

  /**
   * Why a step is a spike; empty if it is none.
   *
   * @param before losses before it, at most {@link #window()}
   */
  Optional<String> reason(List<Float> before, float loss, double gradientNorm) {
    if (!Float.isFinite(loss)) {
      return Optional.of("the loss is " + loss);
    }
    if (!Double.isFinite(gradientNorm)) {
      return Optional.of("the gradients' norm is " + gradientNorm);
    }
    if (before.size() < Math.max(2, window / 2)) {
      return Optional.empty();
    }
    double mean = before.stream().mapToDouble(Float::doubleValue).average().orElseThrow();
    double variance =
        before.stream().mapToDouble(x -> (x - mean) * (x - mean)).average().orElseThrow();
    double limit = mean + deviations * Math.sqrt(variance);
    return loss > limit
        ? Optional.of(
            "the loss is %.6g, the %d before it had a mean of %.6g and a deviation of %.3g"
                .formatted(loss, before.size(), mean, Math.sqrt(variance)))
        : Optional.empty();
  }

  /** Losses with one more, without those that are too old. */
  List<Float> with(List<Float> before, float loss) {
    List<Float> after = new ArrayList<>(before);
    after.add(loss);
    return List.copyOf(after.subList(Math.max(0, after.size() - window), after.size()));
  }
}
