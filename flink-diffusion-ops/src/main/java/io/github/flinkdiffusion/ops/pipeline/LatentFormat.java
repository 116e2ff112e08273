package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import io.github.flinkdiffusion.ops.network.AutoencoderTinyConfig;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * How an autoencoder's latents lie, whatever its class.
 *
 * @param inChannels of the pictures it encodes
 * @param latentChannels of its latents
 * @param scaleFactor pixels along one side of a latent's pixel
 * @param shifts subtracted from each channel of what the network encodes
 * @param scales what each channel is then multiplied by, so that the denoising network sees values
 *     of about unit variance
 */
record LatentFormat(
    int inChannels, int latentChannels, int scaleFactor, List<Double> shifts, List<Double> scales) {
  LatentFormat {
    shifts = List.copyOf(shifts);
    scales = List.copyOf(scales);
  }

  /**
   * With {@code latents_mean} and {@code latents_std} where the config has both, as diffusers' SDXL
   * pipelines do.
   */
  static LatentFormat of(AutoencoderKLConfig config) {
    int channels = config.latentChannels();
    if (config.latentsMean().isEmpty() || config.latentsStd().isEmpty()) {
      return new LatentFormat(
          config.inChannels(),
          channels,
          config.scaleFactor(),
          Collections.nCopies(channels, config.shiftFactor()),
          Collections.nCopies(channels, config.scalingFactor()));
    }
    List<Double> scales = new ArrayList<>();
    for (double deviation : config.latentsStd()) {
      scales.add(config.scalingFactor() / deviation);
    }
    return new LatentFormat(
        config.inChannels(), channels, config.scaleFactor(), config.latentsMean(), scales);
  }

  static LatentFormat of(AutoencoderTinyConfig config) {
    int channels = config.latentChannels();
    return new LatentFormat(
        config.inChannels(),
        channels,
        config.scaleFactor(),
        Collections.nCopies(channels, config.shiftFactor()),
        Collections.nCopies(channels, config.scalingFactor()));
  }

  /** What the network encoded, as the denoising network takes it; a new array. */
  float[] scaled(float[] latent) {
    int plane = latent.length / latentChannels;
    float[] scaled = new float[latent.length];
    for (int c = 0; c < latentChannels; c++) {
      double shift = shifts.get(c);
      double scale = scales.get(c);
      for (int i = c * plane; i < (c + 1) * plane; i++) {
        scaled[i] = (float) ((latent[i] - shift) * scale);
      }
    }
    return scaled;
  }

  /** The other way round: writes what the decoder takes from {@code offset} on. */
  void unscale(float[] sample, float[] target, int offset) {
    int plane = sample.length / latentChannels;
    for (int c = 0; c < latentChannels; c++) {
      double shift = shifts.get(c);
      double scale = scales.get(c);
      for (int i = c * plane; i < (c + 1) * plane; i++) {
        target[offset + i] = (float) (sample[i] / scale + shift);
      }
    }
  }
}
