/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.scheduler.PlanBuilder.Call;
import java.util.Arrays;

/**
 * {@code FlowMatchEulerDiscreteScheduler}: Euler steps along a rectified flow, where a sample is (1
 * - sigma) image + sigma noise and the network predicts noise - image. Sigmas are shifted towards 1
 * by a constant, or by mu, which depends on the picture's size. (Esser et al., Scaling Rectified
 * Flow Transformers.)
 */
final class FlowMatchEuler {

  private FlowMatchEuler() {}

  static SamplingPlan plan(Fields fields, int n, SamplingOptions options) {
    boolean stochastic = fields.flag("stochastic_sampling", false);
    Levels levels = levels(fields, n, options);
    PlanBuilder plan = new PlanBuilder(fields, n, 1);
    for (int i = options.skippedSteps(); i < n; i++) {
      double sigma = levels.sigmas()[i];
      double to = levels.sigmas()[i + 1];
      Call call = plan.call(levels.timesteps()[i]).level(1 - sigma, sigma);
      if (stochastic) {
        Linear image = call.x().minus(call.out().times(sigma));
        call.next(image.times(1 - to).plus(call.noise().times(to)));
      } else {
        call.next(call.x().plus(call.out().times(to - sigma)));
      }
    }
    return plan.build();
  }

  /**
   * Where the calls are.
   *
   * @param timesteps of n calls
   * @param sigmas of n calls, and the one to end at
   */
  record Levels(double[] timesteps, double[] sigmas) {}

  /** Of n steps with a config of this class or of {@link FlowMatchLcm}. */
  static Levels levels(Fields fields, int n, SamplingOptions options) {
    int trainSteps = fields.trainSteps(n, options);
    boolean inverted = fields.flag("invert_sigmas", false);
    double[] sigmas = sigmas(fields, n, trainSteps, options);
    if (inverted) {
      for (int i = 0; i < n; i++) {
        sigmas[i] = 1 - sigmas[i];
      }
    }
    boolean listed = !options.timesteps().isEmpty() && !inverted;
    double[] timesteps = new double[n];
    for (int i = 0; i < n; i++) {
      timesteps[i] = listed ? options.timesteps().get(i) : sigmas[i] * trainSteps;
    }
    return new Levels(timesteps, SigmaSpace.append(sigmas, inverted ? 1 : 0));
  }

  private static double[] sigmas(Fields fields, int n, int trainSteps, SamplingOptions options) {
    boolean dynamic = fields.flag("use_dynamic_shifting", false);
    boolean exponential =
        fields
            .choice("time_shift_type", "exponential", "exponential", "linear")
            .equals("exponential");
    if (dynamic && options.mu() == null) {
      throw fields.unsupported("use_dynamic_shifting", true, "true with a value for mu, or false");
    }
    double shift = fields.number("shift", 1);
    // The reference shifts the training schedule when it is made and its two ends once more here.
    double least = dynamic ? 1.0 / trainSteps : shifted(1.0 / trainSteps, shift);
    double factor = !dynamic ? shift : exponential ? Math.exp(options.mu()) : options.mu();
    double[] sigmas = unshifted(fields, n, trainSteps, least, options);
    for (int i = 0; i < n; i++) {
      sigmas[i] = shifted(sigmas[i], factor);
    }
    double terminal = fields.optionalNumber("shift_terminal", 0);
    if (terminal != 0) {
      double stretch = (1 - sigmas[n - 1]) / (1 - terminal);
      for (int i = 0; i < n; i++) {
        sigmas[i] = 1 - (1 - sigmas[i]) / stretch;
      }
    }
    Sigmas.Placement placement = Sigmas.placement(fields);
    if (placement == Sigmas.Placement.BY_TIMESTEP) {
      return sigmas;
    }
    double greatest = fields.optionalNumber("sigma_max", sigmas[0]);
    return Sigmas.place(placement, greatest, fields.optionalNumber("sigma_min", sigmas[n - 1]), n);
  }

  /** Evenly from 1 down, or what the caller lists: sigmas, or timesteps and with them sigmas. */
  private static double[] unshifted(
      Fields fields, int n, int trainSteps, double least, SamplingOptions options) {
    double[] timesteps =
        options.timesteps().isEmpty()
            ? new double[0]
            : fields.listed(options.timesteps(), n, false, trainSteps);
    if (!options.sigmas().isEmpty()) {
      fields.requireCount("sigmas", options.sigmas().size(), n, n);
      return SolverSpace.flowSigmas(fields, options);
    }
    return timesteps.length == 0
        ? Sigmas.karras(1, least, n, 1)
        : Arrays.stream(timesteps).map(timestep -> timestep / trainSteps).toArray();
  }

  /** Also the dynamic shift: a / (a + (1 / sigma - 1)) is the same function. */
  static double shifted(double sigma, double factor) {
    return factor * sigma / (1 + (factor - 1) * sigma);
  }
}
