/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;
import java.util.ArrayList;
import java.util.List;

/**
 * {@code IPNDMScheduler}: {@link Pndm}'s linear multistep method, for networks that predict the
 * velocity of samples cos(phi) image + sin(phi) noise and are told phi, from 1 (noise) to 0. (Liu
 * et al., section 3.2, in the form of Crowson's v-diffusion.)
 */
final class Ipndm {

  private static final int ORDER = 4;

  private Ipndm() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    fields.trainSteps(n, options);
    if (options.skippedSteps() > 0) {
      throw new SchedulerException(
          "%s: %s has no way to begin from an image; supported: DDIMScheduler and others"
              .formatted(fields.source(), fields.className()));
    }
    float[] sigmas = sigmas(fields, n);
    PlanBuilder plan = new PlanBuilder(fields, n, 1);
    for (int i = 0; i + 1 < sigmas.length; i++) {
      double alpha = alpha(sigmas[i]);
      double nextAlpha = alpha(sigmas[i + 1]);
      Call call = plan.call(Math.atan2(sigmas[i], alpha) / Math.PI * 2).level(alpha, sigmas[i]);
      List<Linear> noises = new ArrayList<>();
      noises.add(call.x().times(sigmas[i]).plus(call.out().times(alpha)));
      noises.addAll(call.history());
      Linear noise = noises.size() == 1 ? noises.get(0) : Pndm.adamsBashforth(noises);
      Linear image = call.x().minus(noise.times(sigmas[i])).dividedBy(Math.max(alpha, 1e-8));
      call.next(
          image.times(nextAlpha).plus(noise.times(sigmas[i + 1])),
          noises.subList(0, Math.min(noises.size(), ORDER - 1)));
    }
    return plan.build();
  }

  private static float alpha(float sigma) {
    return (float) Math.sqrt(1 - sigma * sigma);
  }

  /** n + 1, the last 0; or those that the config has, which are then as many as there are. */
  private static float[] sigmas(Fields fields, int n) {
    if (fields.has("trained_betas")) {
      double[] trained = fields.numbers("trained_betas");
      if (trained.length < 2) {
        throw fields.unsupported("trained_betas", trained.length + " numbers", "at least 2");
      }
      float[] sigmas = new float[trained.length];
      for (int i = 0; i < sigmas.length; i++) {
        sigmas[i] = (float) trained[i];
      }
      return sigmas;
    }
    float[] sigmas = new float[n + 1];
    for (int i = 0; i < n; i++) {
      float sine = (float) Math.sin((float) ((1 - (double) i / n) * Math.PI / 2));
      sigmas[i] = sine * sine;
    }
    return sigmas;
  }
}
