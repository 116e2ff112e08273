package io.github.flinkdiffusion.ops.training;

/**
 * A learning rate that rises linearly, then falls along half a cosine to a tenth of its peak.
 *
 * @param peak the highest rate
 * @param warmUpSteps steps of the rise
 * @param totalSteps steps in all; the rate stays at its end value after them
 */
public record LearningRate(double peak, int warmUpSteps, int totalSteps) {
  private static final double END = 0.1;

  public LearningRate {
    if (!(peak > 0) || warmUpSteps < 0 || totalSteps <= warmUpSteps) {
      throw new IllegalArgumentException(
          "A learning rate needs peak > 0 and 0 <= warmUpSteps < totalSteps, not "
              + peak
              + ", "
              + warmUpSteps
              + ", "
              + totalSteps
              + ".");
    }
  }

  /** The rate at a step, counted from 0. */
  public double at(int step) {
    if (step < warmUpSteps) {
      return peak * (step + 1) / warmUpSteps;
    }
    double progress = Math.min(1, (double) (step - warmUpSteps) / (totalSteps - warmUpSteps));
    return peak * (END + (1 - END) * 0.5 * (1 + Math.cos(Math.PI * progress)));
  }
}
