/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;
import java.util.Arrays;

/**
 * {@code LCMScheduler}: multistep sampling of a latent consistency model. Each call jumps to a
 * clean image and, but for the last, noises it to the next level. (Luo et al., Latent Consistency
 * Models.)
 */
final class Lcm {

  /** Fixed by the distillation, not by the config. */
  private static final double SIGMA_DATA = 0.5;

  private Lcm() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    NoiseSchedule schedule =
        NoiseSchedule.withZeroSnr(
            fields,
            NoiseSchedule.Defaults.STABLE_DIFFUSION,
            "linear",
            "scaled_linear",
            "squaredcos_cap_v2");
    Prediction prediction =
        fields.prediction(Prediction.EPSILON, Prediction.SAMPLE, Prediction.VELOCITY);
    Limit limit = Limit.of(fields, false);
    double timestepScaling = fields.number("timestep_scaling", 10);
    int[] timesteps = timesteps(fields, n, options);
    PlanBuilder plan = new PlanBuilder(fields, n, 1);
    for (int i = options.skippedSteps(); i < n; i++) {
      int t = timesteps[i];
      double alpha = Math.sqrt(schedule.alphaBar(t));
      double sigma = Math.sqrt(1 - schedule.alphaBar(t));
      double scaled = t * timestepScaling;
      double norm = scaled * scaled + SIGMA_DATA * SIGMA_DATA;
      Call call = plan.call(t).level(alpha, sigma);
      Linear image = call.limited(prediction.image(call.x(), call.out(), alpha, sigma), limit);
      Linear denoised =
          image
              .times(scaled / Math.sqrt(norm))
              .plus(call.x().times(SIGMA_DATA * SIGMA_DATA / norm));
      if (i + 1 < n) {
        double to = schedule.alphaBar(timesteps[i + 1]);
        call.next(denoised.times(Math.sqrt(to)).plus(call.noise().times(Math.sqrt(1 - to))));
      } else {
        call.next(denoised);
      }
    }
    return plan.build();
  }

  /**
   * n of the timesteps that the model was distilled on, evenly from the noisiest that the strength
   * allows on, or those that a caller lists.
   */
  static int[] timesteps(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.integer("num_train_timesteps", 1000, 1, 1_000_000);
    if (!options.timesteps().isEmpty()) {
      fields.requireSteps(n, trainSteps, "num_train_timesteps", options);
      double[] listed = fields.listed(options.timesteps(), n, true, trainSteps - 1);
      return Arrays.stream(listed).mapToInt(timestep -> (int) timestep).toArray();
    }
    int distilled = distilledSteps(fields, trainSteps, options);
    int stride = trainSteps / distilled;
    int used = (int) (distilled * options.strength());
    fields.requireSteps(
        n,
        used,
        used == distilled
            ? "original_inference_steps"
            : "original_inference_steps times strength " + options.strength(),
        options);
    int[] timesteps = new int[n];
    for (int i = 0; i < n; i++) {
      int index = (int) Math.floor(i * ((double) used / n));
      timesteps[i] = (used - index) * stride - 1;
    }
    return timesteps;
  }

  private static int distilledSteps(Fields fields, int trainSteps, SamplingOptions options) {
    int own = fields.integer("original_inference_steps", 50, 1, trainSteps);
    Integer asked = options.originalInferenceSteps();
    if (asked == null) {
      return own;
    }
    if (asked > trainSteps) {
      throw new SchedulerException(
          "%s: originalInferenceSteps is %d; it must be 1 to num_train_timesteps, %d"
              .formatted(fields.source(), asked, trainSteps));
    }
    return asked;
  }
}
