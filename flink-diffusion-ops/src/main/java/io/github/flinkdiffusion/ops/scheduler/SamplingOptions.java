package io.github.flinkdiffusion.ops.scheduler;

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
 */
public record SamplingOptions(
    Double eta, Double mu, int skippedSteps, boolean useClippedModelOutput) {

  /** The scheduler's defaults, from pure noise. */
  public static final SamplingOptions DEFAULTS = new SamplingOptions(null, null, 0, false);

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
  }

  public SamplingOptions withEta(double eta) {
    return new SamplingOptions(eta, mu, skippedSteps, useClippedModelOutput);
  }

  public SamplingOptions withMu(double mu) {
    return new SamplingOptions(eta, mu, skippedSteps, useClippedModelOutput);
  }

  public SamplingOptions withSkippedSteps(int skippedSteps) {
    return new SamplingOptions(eta, mu, skippedSteps, useClippedModelOutput);
  }

  public SamplingOptions withUseClippedModelOutput(boolean useClippedModelOutput) {
    return new SamplingOptions(eta, mu, skippedSteps, useClippedModelOutput);
  }
}
