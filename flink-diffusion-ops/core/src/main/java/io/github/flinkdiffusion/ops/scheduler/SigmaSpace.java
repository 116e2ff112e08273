/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;
import java.util.Arrays;

/**
 * What the schedulers of the k-diffusion family share: samples are image + sigma * noise, the
 * network sees them scaled to unit variance, and n sigmas lie on the training schedule or are
 * placed between two ends.
 *
 * @param sigmas n sigmas and the last one, which is 0 unless the config has it otherwise
 * @param timesteps the n timesteps that the network is told
 */
record SigmaSpace(double[] sigmas, double[] timesteps) {

  /** Reads {@code timestep_spacing} and the placement from a config; the last sigma is 0. */
  static SigmaSpace of(
      Fields fields, NoiseSchedule schedule, int n, int trainSteps, SamplingOptions options) {
    return of(fields, schedule, n, trainSteps, options, true);
  }

  /**
   * @param endsInConfig whether a config may have the ends of a placement, {@code sigma_min} and
   *     {@code sigma_max}
   */
  static SigmaSpace of(
      Fields fields,
      NoiseSchedule schedule,
      int n,
      int trainSteps,
      SamplingOptions options,
      boolean endsInConfig) {
    double[] timesteps = Timesteps.fractional(fields, n, trainSteps, options);
    return at(fields, schedule, timesteps, n, trainSteps, endsInConfig);
  }

  /** As {@link #of}, at timesteps that are known already. */
  static SigmaSpace at(
      Fields fields,
      NoiseSchedule schedule,
      double[] timesteps,
      int n,
      int trainSteps,
      boolean endsInConfig) {
    double[] sigmas = schedule.sigmasAt(timesteps);
    double least = leastSigma(fields, schedule, n, trainSteps, sigmas);
    return place(fields, schedule, timesteps, sigmas, least, 0, endsInConfig);
  }

  /**
   * Where a placement ends unless the config has its end: at the last timestep. Where the
   * reference's range of trailing timesteps is one too long, its last is -1, which has the least
   * sigma of all.
   */
  static double leastSigma(
      Fields fields, NoiseSchedule schedule, int n, int trainSteps, double[] sigmas) {
    return Timesteps.trailingRangeIsTooLong(fields, n, trainSteps)
        ? schedule.leastSigma()
        : sigmas[sigmas.length - 1];
  }

  /**
   * Applies the config's placement to sigmas that follow the timesteps.
   *
   * @param interpolated sigmas at the timesteps, the first of which is the greatest of a placement
   *     unless the config has it
   * @param end the least of a placement unless the config has it
   * @param endsInConfig whether the config may have them
   */
  static SigmaSpace place(
      Fields fields,
      NoiseSchedule schedule,
      double[] timesteps,
      double[] interpolated,
      double end,
      double last,
      boolean endsInConfig) {
    Sigmas.Placement placement = Sigmas.placement(fields);
    if (placement == Sigmas.Placement.BY_TIMESTEP) {
      return new SigmaSpace(append(interpolated, last), timesteps);
    }
    double greatest =
        endsInConfig ? fields.optionalNumber("sigma_max", interpolated[0]) : interpolated[0];
    double least = endsInConfig ? fields.optionalNumber("sigma_min", end) : end;
    double[] sigmas = Sigmas.place(placement, greatest, least, timesteps.length);
    return new SigmaSpace(append(sigmas, last), schedule.timestepsOf(sigmas));
  }

  /**
   * Standard deviation of the first sample; a config whose timesteps do not begin at the noisiest
   * adds the image's own.
   */
  double initNoiseSigma(Fields fields) {
    double greatest = 0;
    for (double sigma : sigmas) {
      greatest = Math.max(greatest, sigma);
    }
    // Listed timesteps may stand beside a spacing that there is not.
    boolean fromNoisiest = fields.word("timestep_spacing", "linspace").matches("linspace|trailing");
    return fromNoisiest ? greatest : Math.sqrt(greatest * greatest + 1);
  }

  /** Opens a call at a timestep with a sigma. */
  static Call open(PlanBuilder plan, double timestep, double sigma) {
    return plan.call(timestep).inputScale(1 / Math.sqrt(sigma * sigma + 1)).level(1, sigma);
  }

  /** (x - image) / sigma: the slope dx/dsigma, which is the predicted noise. */
  static Linear slope(Call call, Prediction prediction, double sigma) {
    return slope(call, prediction, sigma, Limit.NONE);
  }

  static Linear slope(Call call, Prediction prediction, double sigma, Limit limit) {
    Linear image = prediction.imageAtSigma(call.x(), call.out(), sigma);
    return call.x().minus(call.limited(image, limit)).dividedBy(sigma);
  }

  /**
   * Where an ancestral step from one sigma to another aims, below the other. In float32, as the
   * reference: for sigmas in the thousands its differences cancel, up to a root of a negative
   * number.
   */
  static double ancestralDown(double sigma, double to) {
    float up = (float) ancestralUp(sigma, to);
    return (float) Math.sqrt((float) to * (float) to - up * up);
  }

  /** How much noise then leads back up: down² + up² = to². */
  static double ancestralUp(double sigma, double to) {
    float from2 = (float) sigma * (float) sigma;
    float to2 = (float) to * (float) to;
    return (float) Math.sqrt(to2 * (from2 - to2) / from2);
  }

  /** Sigmas and the last one, in float32 as the reference keeps them. */
  static double[] append(double[] values, double last) {
    double[] longer = Arrays.copyOf(values, values.length + 1);
    longer[values.length] = last;
    for (int i = 0; i < longer.length; i++) {
      longer[i] = (float) longer[i];
    }
    return longer;
  }
}
