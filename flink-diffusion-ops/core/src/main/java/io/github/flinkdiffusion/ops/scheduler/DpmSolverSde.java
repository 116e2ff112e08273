/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.noise.BrownianTree;
import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;

/**
 * {@code DPMSolverSDEScheduler}: DPM-Solver++ (2S) with noise, which steps to the geometric mean of
 * two sigmas and takes the whole step with the image predicted there. Both add the noise of one
 * Brownian path in sigma, so that of the first half is part of the second's. Two calls a step, but
 * one for the last, which ends at sigma 0. (Crowson's k-diffusion, {@code sample_dpmpp_sde}.)
 *
 * <p>With {@code noise_sampler_seed} the path is the reference's. Without it the reference seeds
 * the path from torch's global generator, which no request can repeat; here each half step draws
 * from the request's own noise, which is the same law.
 */
final class DpmSolverSde {

  private DpmSolverSde() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.trainSteps(n, options);
    NoiseSchedule schedule = NoiseSchedule.of(fields, NoiseSchedule.Defaults.K_DIFFUSION);
    Prediction prediction = fields.prediction(Prediction.EPSILON, Prediction.VELOCITY);
    boolean endsInConfig = Sigmas.placement(fields) != Sigmas.Placement.KARRAS;
    double[] timesteps = Timesteps.exact(fields, n, trainSteps);
    SigmaSpace space = SigmaSpace.at(fields, schedule, timesteps, n, trainSteps, endsInConfig);
    BrownianTree tree = tree(fields, space);
    PlanBuilder plan = new PlanBuilder(fields, n, space.initNoiseSigma(fields));
    for (int i = options.skippedSteps(); i < n; i++) {
      double sigma = space.sigmas()[i];
      double to = space.sigmas()[i + 1];
      Call half = SigmaSpace.open(plan, space.timesteps()[i], sigma);
      Linear image = prediction.imageAtSigma(half.x(), half.out(), sigma);
      if (to == 0) {
        half.next(image);
        break;
      }
      // The reference works with t = -log sigma, in float32, and so do its path's times.
      float t = negativeLog(sigma);
      float tMiddle = t + (negativeLog(to) - t) * 0.5f;
      double from = exp(-t);
      double middle = exp(-tMiddle);
      double end = exp(-negativeLog(to));
      Aim atMiddle = Aim.of(from, middle);
      Linear first = tree == null ? half.noise() : half.noise(new BrownianStep(tree, from, middle));
      Linear there = atMiddle.of(half.x(), image).plus(first.times(atMiddle.up()));
      if (tree == null) {
        half.next(there, half.x(), half.noise());
      } else {
        half.next(there, half.x());
      }
      // A known part that inpainting puts back half way lies at the next sigma.
      Call whole =
          SigmaSpace.open(plan, schedule.timestepOf(Math.sqrt(sigma * to)), middle).level(1, to);
      Linear imageThere = prediction.imageAtSigma(whole.x(), whole.out(), middle);
      Aim atEnd = Aim.of(from, end);
      Linear noise =
          tree == null
              ? joined(whole, from, middle, end)
              : whole.noise(new BrownianStep(tree, from, end));
      whole.next(atEnd.of(whole.h(0), imageThere).plus(noise.times(atEnd.up())));
    }
    return plan.build();
  }

  /** The movement over both halves: that of the first, which was remembered, and a fresh one. */
  private static Linear joined(Call whole, double from, double middle, double end) {
    double all = from - end;
    return whole
        .h(1)
        .times(Math.sqrt((from - middle) / all))
        .plus(whole.noise().times(Math.sqrt((middle - end) / all)));
  }

  /** Null where the config has no seed. */
  private static BrownianTree tree(Fields fields, SigmaSpace space) {
    if (!fields.has("noise_sampler_seed")) {
      return null;
    }
    int seed = fields.integer("noise_sampler_seed", 0, 0, Integer.MAX_VALUE);
    double least = Double.POSITIVE_INFINITY;
    double greatest = 0;
    for (double sigma : space.sigmas()) {
      least = sigma > 0 ? Math.min(least, sigma) : least;
      greatest = Math.max(greatest, sigma);
    }
    // Where a config makes other sigmas, no plan is built of them.
    return Double.isFinite(greatest) && least <= greatest
        ? new BrownianTree(seed, least, greatest)
        : null;
  }

  /**
   * Where a step between two sigmas leads: a lower sigma, from which noise leads back up.
   *
   * @param scale what is left of the sample
   * @param up deviation of the noise
   */
  private record Aim(double scale, double up) {
    static Aim of(double from, double to) {
      double up = Math.min(to, SigmaSpace.ancestralUp(from, to));
      double down = Math.sqrt(Math.max(0, (float) to * (float) to - (float) up * (float) up));
      return new Aim((float) down / from, up);
    }

    Linear of(Linear x, Linear image) {
      return x.times(scale).plus(image.times(1 - scale));
    }
  }

  private static float negativeLog(double sigma) {
    return (float) -Math.log(sigma);
  }

  private static double exp(float value) {
    return (float) Math.exp(value);
  }
}
