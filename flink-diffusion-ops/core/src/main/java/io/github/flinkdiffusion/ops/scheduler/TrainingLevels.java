/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import java.util.Arrays;
import org.apache.flink.annotation.Internal;

/**
 * The noise levels that a network is trained at, one for each training timestep: a noisy sample is
 * {@code signal * clean + noise * gaussian}.
 *
 * <p>Read from a scheduler's config as diffusers' training programs read it: by {@code
 * DDPMScheduler} whatever class it names, so that keys which are missing have that class's
 * defaults; only {@code FlowMatchEulerDiscreteScheduler} is read as itself.
 */
@Internal
public final class TrainingLevels {
  private static final String FLOW = "FlowMatchEulerDiscreteScheduler";
  private static final String DDPM = "DDPMScheduler";

  private final double[] timestep;
  private final double[] signal;
  private final double[] noise;

  private TrainingLevels(double[] timestep, double[] signal, double[] noise) {
    this.timestep = timestep;
    this.signal = signal;
    this.noise = noise;
  }

  /**
   * The levels of a model's scheduler.
   *
   * @throws SchedulerException naming the key whose value is not supported
   */
  public static TrainingLevels of(SchedulerConfig config) {
    return config.className().equals(FLOW)
        ? flow(new Fields(config, key -> {}))
        : diffusion(new Fields(config.withClass(DDPM), key -> {}));
  }

  private static TrainingLevels diffusion(Fields fields) {
    NoiseSchedule schedule =
        NoiseSchedule.withZeroSnr(fields, NoiseSchedule.Defaults.DDPM, Ddpm.BETA_SCHEDULES);
    int n = schedule.length();
    double[] timestep = new double[n];
    double[] signal = new double[n];
    double[] noise = new double[n];
    for (int t = 0; t < n; t++) {
      timestep[t] = t;
      signal[t] = Math.sqrt(schedule.alphaBar(t));
      noise[t] = Math.sqrt(1 - schedule.alphaBar(t));
    }
    return new TrainingLevels(timestep, signal, noise);
  }

  private static TrainingLevels flow(Fields fields) {
    int n = fields.integer("num_train_timesteps", 1000, 1, 1_000_000);
    // A dynamic shift depends on a request's size; training sees the levels without it.
    double shift = fields.flag("use_dynamic_shifting", false) ? 1 : fields.number("shift", 1);
    double[] timestep = new double[n];
    double[] signal = new double[n];
    double[] noise = new double[n];
    for (int t = 0; t < n; t++) {
      double sigma = FlowMatchEuler.shifted((t + 1.0) / n, shift);
      timestep[t] = sigma * n;
      signal[t] = 1 - sigma;
      noise[t] = sigma;
    }
    return new TrainingLevels(timestep, signal, noise);
  }

  /** Number of levels; they are counted from 0, the least noise. */
  public int count() {
    return timestep.length;
  }

  /** The number that the network gets for a level. */
  public double timestep(int level) {
    return timestep[level];
  }

  /** Share of the clean sample at a level. */
  public double signal(int level) {
    return signal[level];
  }

  /** Share of the noise at a level. */
  public double noise(int level) {
    return noise[level];
  }

  /** Signal-to-noise ratio, of powers; 0 for pure noise. */
  public double snr(int level) {
    double ratio = signal[level] / noise[level];
    return ratio * ratio;
  }

  /**
   * What a network that predicts variances is compared with: the posterior of a step of the forward
   * process (Ho et al. 2020, formula 7; Nichol and Dhariwal 2021).
   *
   * @param cleanShare of the clean sample in its mean
   * @param noisyShare of the noisy sample in its mean
   * @param minLogVariance its own, and a learned variance's least
   * @param maxLogVariance the forward step's, and a learned variance's greatest
   */
  public record Posterior(
      double cleanShare, double noisyShare, double minLogVariance, double maxLogVariance) {}

  /**
   * The posterior at a level. At level 0, where the variance is 0, it is level 1's.
   *
   * @throws SchedulerException if there are fewer than two levels
   */
  public Posterior posterior(int level) {
    if (count() < 2) {
      throw new SchedulerException(
          "A learned variance needs at least two noise levels, not " + Arrays.toString(signal));
    }
    double from = square(signal[level]);
    double to = level == 0 ? 1 : square(signal[level - 1]);
    double beta = 1 - from / to;
    double least =
        level == 0 ? posterior(1).minLogVariance : Math.log((1 - to) / (1 - from) * beta);
    return new Posterior(
        Math.sqrt(to) * beta / (1 - from),
        Math.sqrt(1 - beta) * (1 - to) / (1 - from),
        least,
        Math.log(beta));
  }

  private static double square(double value) {
    return value * value;
  }
}
