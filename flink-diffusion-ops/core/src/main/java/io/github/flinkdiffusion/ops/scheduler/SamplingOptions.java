/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import java.util.List;
import java.util.Objects;
import java.util.function.Consumer;
import org.apache.flink.annotation.Internal;

/**
 * What a caller may ask of a scheduler beyond its config: the arguments that diffusers takes in
 * {@code step()} and {@code set_timesteps()} rather than in the constructor.
 *
 * @param eta how stochastic the sampler is, 0..1; null for the scheduler's own default (DDIM 0, TCD
 *     0.3). Others ignore it.
 * @param mu the time shift of flow-matching schedulers with {@code use_dynamic_shifting}, which
 *     depends on the picture's size; null where it is not used
 * @param skippedSteps how many inference steps at the noisy end are left out: an image-to-image
 *     request of strength s out of n steps skips n - min(n, floor(n s)). Multistep solvers start
 *     afresh there.
 * @param useClippedModelOutput whether DDIM takes the noise from the limited picture rather than
 *     from the network ({@code use_clipped_model_output}). Others ignore it.
 * @param churn noise that Euler samplers add on the way; others have none
 * @param timesteps the timesteps themselves, one a step, from the noisiest down; empty for the
 *     config's spacing. {@link Schedulers#taking} says which schedulers take them.
 * @param sigmas the noise levels themselves, from the greatest down: one a step, and for {@code
 *     EulerDiscreteScheduler} the one to end at as well; empty for the config's placement
 * @param originalInferenceSteps steps of the schedule that a consistency model was distilled on
 *     ({@code original_inference_steps}); null for the config's. {@link Schedulers#taking} says
 *     which schedulers have one.
 * @param strength the part of that schedule, from its clean end, that all steps are spread over, as
 *     the image-to-image pipeline of latent consistency models has it; 1 is all of it. Others leave
 *     out steps, see {@code skippedSteps}.
 * @param jumps how {@code RePaintScheduler} goes back and forth; others ignore them
 */
@Internal
public record SamplingOptions(
    Double eta,
    Double mu,
    int skippedSteps,
    boolean useClippedModelOutput,
    Churn churn,
    List<Double> timesteps,
    List<Double> sigmas,
    Integer originalInferenceSteps,
    double strength,
    Jumps jumps) {

  /** The scheduler's defaults, from pure noise. */
  public static final SamplingOptions DEFAULTS =
      new SamplingOptions(
          null, null, 0, false, Churn.NONE, List.of(), List.of(), null, 1, Jumps.DEFAULT);

  public SamplingOptions {
    if (eta != null && !(eta >= 0 && eta <= 1)) {
      throw new SchedulerException("Sampling options: eta = " + eta + ", it must lie in 0..1");
    }
    if (mu != null && !Double.isFinite(mu)) {
      throw new SchedulerException("Sampling options: mu = " + mu + ", it must be finite");
    }
    if (skippedSteps < 0) {
      throw new SchedulerException(
          "Sampling options: skippedSteps = " + skippedSteps + ", it must be 0 or more");
    }
    if (originalInferenceSteps != null && originalInferenceSteps < 1) {
      throw new SchedulerException(
          "Sampling options: originalInferenceSteps = "
              + originalInferenceSteps
              + ", it must be 1 or more");
    }
    if (!(strength > 0 && strength <= 1)) {
      throw new SchedulerException(
          "Sampling options: strength = " + strength + ", it must be above 0, up to 1");
    }
    Objects.requireNonNull(jumps, "jumps");
    timesteps = falling("timesteps", timesteps);
    sigmas = falling("sigmas", sigmas);
  }

  private static List<Double> falling(String name, List<Double> values) {
    double above = Double.POSITIVE_INFINITY;
    for (double value : values) {
      if (!(value >= 0 && value < above)) {
        throw new SchedulerException(
            "Sampling options: %s = %s, they must be 0 or more, each less than the one before"
                .formatted(name, values));
      }
      above = value;
    }
    return List.copyOf(values);
  }

  public SamplingOptions withEta(double eta) {
    return with(changed -> changed.eta = eta);
  }

  public SamplingOptions withMu(double mu) {
    return with(changed -> changed.mu = mu);
  }

  public SamplingOptions withSkippedSteps(int skippedSteps) {
    return with(changed -> changed.skippedSteps = skippedSteps);
  }

  public SamplingOptions withUseClippedModelOutput(boolean useClippedModelOutput) {
    return with(changed -> changed.useClippedModelOutput = useClippedModelOutput);
  }

  public SamplingOptions withTimesteps(List<Double> timesteps) {
    return with(changed -> changed.timesteps = timesteps);
  }

  public SamplingOptions withSigmas(List<Double> sigmas) {
    return with(changed -> changed.sigmas = sigmas);
  }

  public SamplingOptions withOriginalInferenceSteps(int originalInferenceSteps) {
    return with(changed -> changed.originalInferenceSteps = originalInferenceSteps);
  }

  public SamplingOptions withStrength(double strength) {
    return with(changed -> changed.strength = strength);
  }

  public SamplingOptions withJumps(Jumps jumps) {
    return with(changed -> changed.jumps = jumps);
  }

  private SamplingOptions with(Consumer<Fields> change) {
    Fields fields = new Fields(this);
    change.accept(fields);
    return fields.options();
  }

  /** All of them, to be changed. */
  private static final class Fields {
    Double eta;
    Double mu;
    int skippedSteps;
    boolean useClippedModelOutput;
    Churn churn;
    List<Double> timesteps;
    List<Double> sigmas;
    Integer originalInferenceSteps;
    double strength;
    Jumps jumps;

    Fields(SamplingOptions options) {
      eta = options.eta;
      mu = options.mu;
      skippedSteps = options.skippedSteps;
      useClippedModelOutput = options.useClippedModelOutput;
      churn = options.churn;
      timesteps = options.timesteps;
      sigmas = options.sigmas;
      originalInferenceSteps = options.originalInferenceSteps;
      strength = options.strength;
      jumps = options.jumps;
    }

    SamplingOptions options() {
      return new SamplingOptions(
          eta,
          mu,
          skippedSteps,
          useClippedModelOutput,
          churn,
          timesteps,
          sigmas,
          originalInferenceSteps,
          strength,
          jumps);
    }
  }
}
