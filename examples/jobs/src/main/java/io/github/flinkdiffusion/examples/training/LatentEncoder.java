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
import java.util.random.RandomGenerator;

/** A model's autoencoder, for trainings in its latents. */
final class LatentEncoder implements AutoCloseable {
  private static final String VAE = "vae";

  private final AutoencoderKLConfig vae;
  private final Network network;

  LatentEncoder(ModelFolder base, String where) {
    this.vae = config(base);
    if (!vae.latentsMean().isEmpty()) {
      throw new IllegalConfigException(
          "The model's autoencoder has latents_mean; a model whose latents are scaled by scaling_factor is expected.");
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
    HostTensor.Floats moments = network.call(AutoencoderKL.ENCODE, images);
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

  @Override
  public void close() {
    network.close();
  }
}
