/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import java.util.Arrays;

/**
 * What a config does to a predicted clean image before it is used: the only part of a step that is
 * not linear.
 */
sealed interface Limit {

  /** Leaves the prediction as it is. */
  record None() implements Limit {
    @Override
    public void apply(float[] prediction) {}
  }

  /** Cuts to {@code [-range, range]} ({@code clip_sample}). */
  record Clamp(double range) implements Limit {
    @Override
    public void apply(float[] prediction) {
      clamp(prediction, (float) range, 1f);
    }
  }

  /**
   * Dynamic thresholding (Imagen): cuts to the {@code ratio}-quantile of the absolute values,
   * itself kept within 1..{@code maxValue}, and scales back to [-1, 1]. The quantile is over one
   * whole sample, all channels.
   */
  record Dynamic(double ratio, double maxValue) implements Limit {
    @Override
    public void apply(float[] prediction) {
      float[] magnitudes = new float[prediction.length];
      for (int i = 0; i < magnitudes.length; i++) {
        magnitudes[i] = Math.abs(prediction[i]);
      }
      Arrays.sort(magnitudes);
      double rank = ratio * (magnitudes.length - 1);
      int below = (int) rank;
      int above = Math.min(below + 1, magnitudes.length - 1);
      double quantile =
          magnitudes[below] + (rank - below) * (magnitudes[above] - magnitudes[below]);
      float threshold = (float) Math.min(Math.max(quantile, 1), maxValue);
      clamp(prediction, threshold, threshold);
    }
  }

  Limit NONE = new None();

  /** Limits the prediction in place. */
  void apply(float[] prediction);

  /**
   * The limit that {@code clip_sample} and {@code thresholding} ask for; thresholding wins, as in
   * diffusers.
   */
  static Limit of(Fields fields, boolean clipByDefault) {
    Limit dynamic = thresholdingOf(fields);
    if (dynamic != NONE) {
      return dynamic;
    }
    return clampOf(fields, clipByDefault);
  }

  /** For the schedulers that know {@code clip_sample} but not {@code thresholding}. */
  static Limit clampOf(Fields fields, boolean clipByDefault) {
    return fields.flag("clip_sample", clipByDefault)
        ? new Clamp(fields.number("clip_sample_range", 1.0))
        : NONE;
  }

  /** For the schedulers that know {@code thresholding} but not {@code clip_sample}. */
  static Limit thresholdingOf(Fields fields) {
    if (!fields.flag("thresholding", false)) {
      return NONE;
    }
    double ratio = fields.number("dynamic_thresholding_ratio", 0.995);
    if (!(ratio >= 0 && ratio <= 1)) {
      throw fields.unsupported("dynamic_thresholding_ratio", ratio, "0..1");
    }
    return new Dynamic(
        ratio,
        fields.isNull("sample_max_value")
            ? Double.POSITIVE_INFINITY
            : fields.number("sample_max_value", 1.0));
  }

  private static void clamp(float[] values, float range, float divisor) {
    for (int i = 0; i < values.length; i++) {
      values[i] = Math.max(-range, Math.min(range, values[i])) / divisor;
    }
  }
}
