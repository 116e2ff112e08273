/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.scheduler.TrainingLevels;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.random.RandomGenerator;
import org.apache.flink.annotation.Internal;

/**
 * Makes the inputs of a {@link DiffusionObjective}: noise, noise levels and what follows from them.
 *
 * @param objective whose inputs
 * @param levels of the model's scheduler
 * @param weight of the loss at a level
 * @param threshold of a Huber loss
 * @param noiseOffset deviation of a number that is added to each channel's noise, mostly 0 to 0.1:
 *     teaches a network to make images that are dark or bright as a whole
 */
@Internal
public record DiffusionInputs(
    DiffusionObjective objective,
    TrainingLevels levels,
    LossWeight weight,
    HuberThreshold threshold,
    double noiseOffset) {

  public DiffusionInputs {
    if (!(noiseOffset >= 0 && noiseOffset < Double.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException(
          "The noise offset is %s; it must be finite and at least 0.".formatted(noiseOffset));
    }
  }

  /** All levels count the same, without noise offset. */
  public DiffusionInputs(DiffusionObjective objective, TrainingLevels levels) {
    this(objective, levels, LossWeight.UNIFORM, HuberThreshold.DEFAULT, 0);
  }

  /**
   * Inputs with noise and levels drawn at random, levels evenly.
   *
   * @param clean [N,C,h,w]
   * @param conditions of the denoiser, in its order
   */
  public HostTensor[] drawn(
      RandomGenerator random, HostTensor.Floats clean, HostTensor... conditions) {
    int[] drawn = new int[(int) clean.shape()[0]];
    for (int i = 0; i < drawn.length; i++) {
      drawn[i] = random.nextInt(levels.count());
    }
    return drawnAt(random, drawn, clean, conditions);
  }

  /** Inputs at given levels, one for each row, with noise drawn at random. */
  public HostTensor[] drawnAt(
      RandomGenerator random, int[] levels, HostTensor.Floats clean, HostTensor... conditions) {
    float[] noise = Gaussians.draw(random, clean.data().length);
    if (noiseOffset > 0) {
      int channels = (int) (clean.shape()[0] * clean.shape()[1]);
      int size = noise.length / channels;
      for (int i = 0; i < channels; i++) {
        float offset = (float) (noiseOffset * random.nextGaussian());
        for (int j = 0; j < size; j++) {
          noise[i * size + j] += offset;
        }
      }
    }
    return at(levels, clean, new HostTensor.Floats(noise, clean.shape()), conditions);
  }

  /**
   * Inputs at given levels with given noise.
   *
   * @param rows a level for each row of the clean samples
   */
  public HostTensor[] at(
      int[] rows, HostTensor.Floats clean, HostTensor.Floats noise, HostTensor... conditions) {
    int n = rows.length;
    float[] signal = new float[n];
    float[] noiseLevel = new float[n];
    float[] timestep = new float[n];
    float[] weights = new float[n];
    float[] thresholds = new float[n];
    for (int i = 0; i < n; i++) {
      signal[i] = (float) levels.signal(rows[i]);
      noiseLevel[i] = (float) levels.noise(rows[i]);
      timestep[i] = (float) levels.timestep(rows[i]);
      weights[i] = (float) weight.at(levels, rows[i], objective.target());
      thresholds[i] = (float) threshold.at(levels, rows[i]);
    }
    List<HostTensor> inputs = new ArrayList<>();
    inputs.add(clean);
    inputs.add(noise);
    inputs.add(new HostTensor.Floats(signal, n, 1, 1, 1));
    inputs.add(new HostTensor.Floats(noiseLevel, n, 1, 1, 1));
    inputs.add(new HostTensor.Floats(timestep, n));
    inputs.add(new HostTensor.Floats(weights, n, 1, 1, 1));
    if (objective.distance().hasThreshold()) {
      inputs.add(new HostTensor.Floats(thresholds, n, 1, 1, 1));
    }
    if (objective.variance() == DiffusionObjective.Variance.LEARNED_RANGE) {
      inputs.add(posteriors(rows));
    }
    inputs.addAll(Arrays.asList(conditions));
    return inputs.toArray(HostTensor[]::new);
  }

  private HostTensor.Floats posteriors(int[] rows) {
    int size = VariationalBound.INPUTS;
    float[] values = new float[rows.length * size];
    for (int i = 0; i < rows.length; i++) {
      TrainingLevels.Posterior posterior = levels.posterior(rows[i]);
      values[i * size] = (float) posterior.cleanShare();
      values[i * size + 1] = (float) posterior.noisyShare();
      values[i * size + 2] = (float) posterior.minLogVariance();
      values[i * size + 3] = (float) posterior.maxLogVariance();
      values[i * size + 4] = rows[i] == 0 ? 1 : 0;
      values[i * size + 5] = (float) (VariationalBound.WEIGHT * levels.count());
    }
    return new HostTensor.Floats(values, rows.length, size, 1, 1);
  }
}
