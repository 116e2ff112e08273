/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import io.github.flinkdiffusion.ops.training.TrainedWeights;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.util.Arrays;
import java.util.random.RandomGenerator;

/** A model's autoencoder, for trainings in its latents. */
final class LatentEncoder implements AutoCloseable {
  private static final String VAE = "vae";

  private final AutoencoderKLConfig vae;
  private final Network network;

  /** Where images are the same each time; null where they are not. */
  private final EncodedImages encoded;

  /** As a recipe needs it: its device, and what is kept of images that come again. */
  static LatentEncoder of(ModelFolder base, Recipe recipe) {
    return new LatentEncoder(
        base,
        recipe.device(),
        recipe.repeatsImages() ? new EncodedImages(EncodedImages.mostBytes()) : null);
  }

  LatentEncoder(ModelFolder base, String where, EncodedImages encoded) {
    this.encoded = encoded;
    this.vae = config(base);
    if (!vae.latentsMean().isEmpty()) {
      throw new IllegalConfigException(
          "The model's autoencoder has latents_mean; a model whose latents are scaled by"
              + " scaling_factor is expected.");
    }
    try (TensorStore store = base.component(VAE).open()) {
      DeviceSpec device = Engines.standard().trainer().device(where);
      this.network =
          Engines.standard()
              .trainer()
              .load(
                  Program.of(
                      VAE,
                      new AutoencoderKL(vae).graph(),
                      Precision.FLOAT32,
                      TrainedWeights.source(store)),
                  device);
    }
  }

  static AutoencoderKLConfig config(ModelFolder base) {
    return AutoencoderKLConfig.from(base.component(VAE).config());
  }

  /** Samples of the encoder's distributions, scaled as the denoising network knows them. */
  HostTensor.Floats latents(HostTensor.Floats images, RandomGenerator random) {
    HostTensor.Floats moments = moments(images);
    int rows = (int) moments.shape()[0];
    int size = moments.data().length / rows / 2;
    float[] latents = new float[rows * size];
    for (int row = 0; row < rows; row++) {
      for (int i = 0; i < size; i++) {
        double mean = moments.data()[row * 2 * size + i];
        double logVariance = Math.max(-30, Math.min(20, moments.data()[row * 2 * size + size + i]));
        double sample = mean + Math.exp(0.5 * logVariance) * random.nextGaussian();
        latents[row * size + i] = (float) ((sample - vae.shiftFactor()) * vae.scalingFactor());
      }
    }
    return new HostTensor.Floats(
        latents, rows, moments.shape()[1] / 2, moments.shape()[2], moments.shape()[3]);
  }

  /**
   * Means and variances. An image that is kept is encoded by itself: of a batch, its numbers would
   * depend on the others in the last bits, and a training that goes on without what was kept would
   * not equal an undisturbed one.
   */
  private HostTensor.Floats moments(HostTensor.Floats images) {
    if (encoded == null) {
      return network.call(AutoencoderKL.ENCODE, images);
    }
    long[] shape = images.shape();
    int rows = (int) shape[0];
    int size = images.data().length / rows;
    float[] all = null;
    long[] one = null;
    for (int row = 0; row < rows; row++) {
      float[] pixels = Arrays.copyOfRange(images.data(), row * size, (row + 1) * size);
      HostTensor.Floats moments =
          encoded.get(
              pixels,
              () ->
                  network.call(
                      AutoencoderKL.ENCODE,
                      new HostTensor.Floats(pixels, 1, shape[1], shape[2], shape[3])));
      if (all == null) {
        one = moments.shape();
        all = new float[rows * moments.data().length];
      }
      System.arraycopy(moments.data(), 0, all, row * moments.data().length, moments.data().length);
    }
    return new HostTensor.Floats(all, rows, one[1], one[2], one[3]);
  }

  @Override
  public void close() {
    network.close();
  }
}
