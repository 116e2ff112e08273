/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.AutoencoderDC;
import io.github.flinkdiffusion.ops.network.AutoencoderDCConfig;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import io.github.flinkdiffusion.ops.network.AutoencoderQwenImage;
import io.github.flinkdiffusion.ops.network.AutoencoderQwenImageConfig;
import io.github.flinkdiffusion.ops.network.AutoencoderTiny;
import io.github.flinkdiffusion.ops.network.AutoencoderTinyConfig;
import io.github.flinkdiffusion.ops.noise.NoiseSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * Pictures of 0..1 to latents and back, with an AutoencoderKL or an AutoencoderTiny. Device thread
 * only.
 */
final class Autoencoder {
  private static final String COMPONENT = "vae";
  private static final String TINY = "AutoencoderTiny";

  private final Network network;
  private final LatentFormat format;

  /** Whether pictures are encoded to means and log variances, not to latents. */
  private final boolean distributions;

  private Autoencoder(Network network, LatentFormat format, boolean distributions) {
    this.network = network;
    this.format = format;
    this.distributions = distributions;
  }

  /** The component {@code vae}, both ways. */
  static Autoencoder open(Components components) {
    return open(components, AutoencoderKL::graph, false);
  }

  /**
   * The component {@code vae}, both ways, with the latents' statistics that its config may have.
   */
  static Autoencoder openWithStatistics(Components components) {
    return open(components, AutoencoderKL::graph, true);
  }

  /**
   * The component {@code vae}, an AutoencoderKL with {@code shift_factor}, both ways, as pipelines
   * of diffusion transformers take it.
   */
  static Autoencoder openShifted(Components components) {
    components.requireClass(COMPONENT, "AutoencoderKL");
    AutoencoderKLConfig config = AutoencoderKLConfig.from(components.config(COMPONENT));
    Autoencoder plain = open(components, AutoencoderKL::graph, false);
    return new Autoencoder(
        plain.network, plain.format.shiftedBy(config.shiftFactor()), plain.distributions);
  }

  /** The component {@code vae} of class AutoencoderKLQwenImage, both ways. */
  static Autoencoder openQwenImage(Components components) {
    AutoencoderQwenImageConfig settings =
        AutoencoderQwenImageConfig.from(components.config(COMPONENT, "AutoencoderKLQwenImage"));
    return new Autoencoder(
        components.load(COMPONENT, new AutoencoderQwenImage(settings).graph()),
        new LatentFormat(
            settings.inChannels(),
            settings.latentChannels(),
            settings.scaleFactor(),
            1,
            settings.means(),
            settings.deviations()),
        true);
  }

  /** The component {@code vae} of class AutoencoderDC, for pipelines that take no image. */
  static Autoencoder openDeep(Components components) {
    AutoencoderDCConfig config =
        AutoencoderDCConfig.from(components.config(COMPONENT, "AutoencoderDC"));
    return new Autoencoder(
        components.load(COMPONENT, new AutoencoderDC(config).decoderGraph()),
        LatentFormat.of(
            config.inChannels(),
            config.latentChannels(),
            config.scaleFactor(),
            config.scalingFactor()),
        false);
  }

  /** The component {@code vae}, for pipelines that take no picture. */
  static Autoencoder openDecoder(Components components) {
    return open(components, AutoencoderKL::decoderGraph, false);
  }

  private static Autoencoder open(
      Components components, Function<AutoencoderKL, Graph> graph, boolean statistics) {
    components.requireClass(COMPONENT, "AutoencoderKL", TINY);
    if (components.className(COMPONENT).equals(TINY)) {
      AutoencoderTinyConfig config = AutoencoderTinyConfig.from(components.config(COMPONENT));
      // Both ways in any case: it is small.
      return new Autoencoder(
          components.load(COMPONENT, new AutoencoderTiny(config).graph()),
          LatentFormat.of(
              config.inChannels(),
              config.latentChannels(),
              config.scaleFactor(),
              config.scalingFactor()),
          false);
    }
    AutoencoderKLConfig config = AutoencoderKLConfig.from(components.config(COMPONENT));
    // The reference runs such an autoencoder in float32 even when everything else is in half
    // precision.
    Network network =
        config.forceUpcast()
            ? components.loadInFloat32(COMPONENT, graph.apply(new AutoencoderKL(config)))
            : components.load(COMPONENT, graph.apply(new AutoencoderKL(config)));
    LatentFormat format =
        LatentFormat.of(
            config.inChannels(),
            config.latentChannels(),
            config.scaleFactor(),
            config.scalingFactor());
    return new Autoencoder(network, statistics ? format.withStatisticsOf(config) : format, true);
  }

  /** With another {@code scaling_factor} than its config's. */
  Autoencoder withScalingFactor(double other) {
    return new Autoencoder(network, format.withScalingFactor(other), distributions);
  }

  LatentFormat format() {
    return format;
  }

  /** The latent of a picture of that size, whose sides are multiples of the scale factor. */
  SampleShape latent(int width, int height) {
    int factor = format.scaleFactor();
    return new SampleShape(format.latentChannels(), height / factor, width / factor);
  }

  /**
   * An encoded picture: a distribution over latents, or one.
   *
   * @param mean of each value, not yet scaled
   * @param deviation of each value; empty where the autoencoder gives a latent and no distribution
   */
  record Moments(float[] mean, float[] deviation, LatentFormat format) {

    /** The same without the latents' statistics. */
    Moments withoutStatistics() {
      return new Moments(mean, deviation, format.withoutStatistics());
    }

    /** The most probable latent, scaled. */
    float[] mode() {
      return format.scaled(mean);
    }

    /** The most probable latent without {@code scaling_factor}, as InstructPix2Pix takes it. */
    float[] unscaledMode() {
      return mean;
    }

    /**
     * A latent drawn with one number a value from the noise, scaled. Nothing is drawn where there
     * is no distribution.
     */
    float[] sample(NoiseSource noise) {
      if (deviation.length == 0) {
        return mode();
      }
      float[] drawn = noise.gaussian(mean.length);
      float[] latent = new float[mean.length];
      for (int i = 0; i < latent.length; i++) {
        latent[i] = mean[i] + deviation[i] * drawn[i];
      }
      return format.scaled(latent);
    }
  }

  /**
   * Encodes pictures; those of one size share a network call.
   *
   * @param pictures values 0..1, as many channels as the network takes
   * @return one a picture, in the same order
   */
  List<Moments> encode(List<Raster> pictures) {
    Map<List<Integer>, List<Integer>> bySize = new LinkedHashMap<>();
    for (int i = 0; i < pictures.size(); i++) {
      Raster picture = pictures.get(i);
      bySize
          .computeIfAbsent(List.of(picture.height(), picture.width()), size -> new ArrayList<>())
          .add(i);
    }
    Moments[] encoded = new Moments[pictures.size()];
    for (List<Integer> positions : bySize.values()) {
      List<Moments> some = encodeOneSize(positions.stream().map(pictures::get).toList());
      for (int i = 0; i < some.size(); i++) {
        encoded[positions.get(i)] = some.get(i);
      }
    }
    return List.of(encoded);
  }

  private List<Moments> encodeOneSize(List<Raster> pictures) {
    Raster first = pictures.get(0);
    int size = first.data().length;
    float[] pixels = new float[pictures.size() * size];
    for (int i = 0; i < pictures.size(); i++) {
      float[] data = pictures.get(i).data();
      for (int j = 0; j < size; j++) {
        pixels[i * size + j] = 2 * data[j] - 1;
      }
    }
    float[] encoded =
        network
            .call(
                AutoencoderKL.ENCODE,
                new HostTensor.Floats(
                    pixels, pictures.size(), first.channels(), first.height(), first.width()))
            .data();
    int latent = latent(first.width(), first.height()).size();
    List<Moments> result = new ArrayList<>();
    for (int i = 0; i < pictures.size(); i++) {
      result.add(distributions ? distribution(encoded, i, latent) : latent(encoded, i, latent));
    }
    return result;
  }

  private Moments distribution(float[] moments, int row, int latent) {
    float[] mean = Arrays.copyOfRange(moments, 2 * row * latent, (2 * row + 1) * latent);
    float[] deviation = new float[latent];
    for (int j = 0; j < latent; j++) {
      // The bounds are the reference's (DiagonalGaussianDistribution).
      float logVariance = Math.max(-30, Math.min(20, moments[(2 * row + 1) * latent + j]));
      deviation[j] = (float) Math.exp(0.5 * logVariance);
    }
    return new Moments(mean, deviation, format);
  }

  private Moments latent(float[] latents, int row, int latent) {
    return new Moments(
        Arrays.copyOfRange(latents, row * latent, (row + 1) * latent), new float[0], format);
  }

  /**
   * Decodes the samples of finished trajectories, all of one shape, in one call.
   *
   * @return [N, channels, height, width], about 0..1
   */
  HostTensor.Floats decode(List<Sample> done) {
    SampleShape shape = done.get(0).shape();
    int size = shape.size();
    float[] latents = new float[done.size() * size];
    for (int i = 0; i < done.size(); i++) {
      format.unscale(done.get(i).values(), latents, i * size);
    }
    HostTensor.Floats decoded =
        network.call(
            AutoencoderKL.DECODE,
            new HostTensor.Floats(
                latents, done.size(), shape.channels(), shape.height(), shape.width()));
    float[] pixels = decoded.data();
    for (int i = 0; i < pixels.length; i++) {
      pixels[i] = pixels[i] / 2 + 0.5f;
    }
    return decoded;
  }
}
