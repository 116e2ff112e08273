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
 * What counts as a spike of the loss: one that is not finite, or far above those before. And what
 * counts as a rise: losses that climb so slowly that none is far above those just before it.
 *
 * @param window how many losses before are compared with; none is far above less than half of them
 * @param deviations how many standard deviations above their mean is far
 * @param returns how often in a row a training may return to the last good state
 * @param rise how many times the lowest median of {@code window} losses the median of the last half
 *     of a window is at most; 0 if rises are not looked for
 */
@Internal
public record LossSpikes(int window, double deviations, int returns, double rise) {
  /** Loose enough for diffusion, whose loss depends on the noise levels of a batch. */
  public static final LossSpikes DEFAULT = new LossSpikes(100, 10, 5, 2);

  /**
   * A rise is also so many times the scatter of the lowest window: medians of losses that scatter
   * much, as of small batches, differ by more than a factor without a reason.
   */
  private static final double SCATTERS = 3;

  public LossSpikes {
    if (window < 2 || !(deviations > 0) || returns < 0) {
      throw new IllegalArgumentException(
          "Loss spikes need window >= 2, deviations > 0 and returns >= 0, not %d, %s and %d."
              .formatted(window, deviations, returns));
    }
    if (rise != 0 && !(rise > 1)) {
      throw new IllegalArgumentException(
          "A rise of the loss is a factor above 1, or 0 to look for none; not %s.".formatted(rise));
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

  /**
   * Why losses have risen; empty if they have not.
   *
   * @param losses the last ones, at most {@link #window()}
   * @param lowest level of a whole window so far
   */
  Optional<String> risen(List<Float> losses, Optional<LossLevel> lowest) {
    if (rise == 0 || lowest.isEmpty() || losses.size() < window) {
      return Optional.empty();
    }
    LossLevel calm = lowest.get();
    List<Float> half = losses.subList(losses.size() / 2, losses.size());
    double now = LossLevel.of(half).median();
    double limit = Math.max(rise * calm.median(), calm.median() + SCATTERS * calm.scatter());
    return now > limit
        ? Optional.of(
            "the loss has risen: the last %d have a median of %.6g, the lowest of %d was %.6g"
                .formatted(half.size(), now, window, calm.median()))
        : Optional.empty();
  }

  /** The lowest level of a whole window, with these losses as one more window. */
  Optional<LossLevel> lowest(Optional<LossLevel> before, List<Float> losses) {
    if (losses.size() < window) {
      return before;
    }
    LossLevel level = LossLevel.of(losses);
    return before.filter(lowest -> lowest.median() <= level.median()).or(() -> Optional.of(level));
  }

  /** Losses with one more, without those that are too old. */
  List<Float> with(List<Float> before, float loss) {
    List<Float> after = new ArrayList<>(before);
    after.add(loss);
    return List.copyOf(after.subList(Math.max(0, after.size() - window), after.size()));
  }
}
