/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import java.util.Collections;
import java.util.List;

/**
 * How an autoencoder's latents lie, whatever its class.
 *
 * <p>As in diffusers, {@code scaling_factor} alone counts for most pipelines: those of Stable
 * Diffusion 1.x and 2.x read neither {@code shift_factor} nor the latents' statistics.
 *
 * @param inChannels of the images it encodes
 * @param latentChannels of its latents
 * @param scaleFactor pixels along one side of a latent's pixel
 * @param scalingFactor what encoded values are multiplied by, so that the denoising network sees
 *     values of about unit variance
 * @param means {@code latents_mean} of each channel, empty where the pipeline does not read it
 * @param deviations {@code latents_std} of each channel, empty where the pipeline does not read it
 */
record LatentFormat(
    int inChannels,
    int latentChannels,
    int scaleFactor,
    double scalingFactor,
    List<Double> means,
    List<Double> deviations) {
  LatentFormat {
    means = List.copyOf(means);
    deviations = List.copyOf(deviations);
  }

  /** By {@code scaling_factor} alone. */
  static LatentFormat of(
      int inChannels, int latentChannels, int scaleFactor, double scalingFactor) {
    return new LatentFormat(
        inChannels, latentChannels, scaleFactor, scalingFactor, List.of(), List.of());
  }

  /**
   * With {@code latents_mean} and {@code latents_std} where the config has both, as diffusers' SDXL
   * pipelines read them.
   */
  LatentFormat withStatisticsOf(AutoencoderKLConfig config) {
    return config.latentsMean().isEmpty() || config.latentsStd().isEmpty()
        ? this
        : new LatentFormat(
            inChannels,
            latentChannels,
            scaleFactor,
            scalingFactor,
            config.latentsMean(),
            config.latentsStd());
  }

  /** With {@code shift_factor}: the mean of all channels. */
  LatentFormat shiftedBy(double shift) {
    return new LatentFormat(
        inChannels,
        latentChannels,
        scaleFactor,
        scalingFactor,
        Collections.nCopies(latentChannels, shift),
        Collections.nCopies(latentChannels, 1.0));
  }

  /** By {@code scaling_factor} alone. */
  LatentFormat withoutStatistics() {
    return new LatentFormat(
        inChannels, latentChannels, scaleFactor, scalingFactor, List.of(), List.of());
  }

  /** With another {@code scaling_factor}. */
  LatentFormat withScalingFactor(double other) {
    return new LatentFormat(inChannels, latentChannels, scaleFactor, other, means, deviations);
  }

  private double mean(int channel) {
    return means.isEmpty() ? 0 : means.get(channel);
  }

  private double scale(int channel) {
    return deviations.isEmpty() ? scalingFactor : scalingFactor / deviations.get(channel);
  }

  /** What the network encoded, as the denoising network takes it; a new array. */
  float[] scaled(float[] latent) {
    int plane = latent.length / latentChannels;
    float[] scaled = new float[latent.length];
    for (int c = 0; c < latentChannels; c++) {
      double mean = mean(c);
      double scale = scale(c);
      for (int i = c * plane; i < (c + 1) * plane; i++) {
        scaled[i] = (float) ((latent[i] - mean) * scale);
      }
    }
    return scaled;
  }

  /** The other way round: writes what the decoder takes from {@code offset} on. */
  void unscale(float[] sample, float[] target, int offset) {
    int plane = sample.length / latentChannels;
    for (int c = 0; c < latentChannels; c++) {
      double mean = mean(c);
      double scale = scale(c);
      for (int i = c * plane; i < (c + 1) * plane; i++) {
        target[offset + i] = (float) (sample[i] / scale + mean);
      }
    }
  }

  /** Changes a sample so that {@link #unscale} gives it without the means: by the scale alone. */
  void takeMeansOff(float[] sample) {
    int plane = sample.length / latentChannels;
    for (int c = 0; c < latentChannels; c++) {
      double mean = mean(c) * scale(c);
      for (int i = c * plane; i < (c + 1) * plane; i++) {
        sample[i] = (float) (sample[i] - mean);
      }
    }
  }
}
