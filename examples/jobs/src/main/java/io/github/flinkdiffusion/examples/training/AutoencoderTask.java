/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import io.github.flinkdiffusion.examples.training.data.ExampleSet;
import io.github.flinkdiffusion.examples.training.data.Shuffled;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.NamedWeight;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.training.AutoencoderObjective;
import io.github.flinkdiffusion.ops.training.Batches;
import io.github.flinkdiffusion.ops.training.Gaussians;
import io.github.flinkdiffusion.ops.training.ReconstructionLoss;
import io.github.flinkdiffusion.ops.training.TrainedFolder;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.random.RandomGenerator;

/** A pipeline's autoencoder, or its decoder alone, for which latents stay what they are. */
final class AutoencoderTask implements TrainingTask {
  private static final String VAE = "vae";

  private final Recipe recipe;
  private final ModelFolder base;
  private final ExampleSet examples;
  private final Shuffled order;
  private final AutoencoderKLConfig config;
  private final BaseWeights weights;
  private final double divergence;
  private final int warmUp;
  private final boolean decoderOnly;

  AutoencoderTask(Recipe recipe, ExampleSet examples) {
    this.recipe = recipe;
    this.examples = examples;
    this.base = ModelFolder.open(recipe.model());
    this.order = new Shuffled(examples.size(), recipe.settings().seed());
    this.config = AutoencoderKLConfig.from(base.component(VAE).config());
    this.weights = new BaseWeights(base, Map.of(VAE, ""), recipe.settings().seed());
    this.divergence = recipe.autoencoder().number("divergence", 1e-6);
    this.warmUp = recipe.autoencoder().whole("warm_up", 0, 0);
    this.decoderOnly = recipe.autoencoder().flag("decoder_only", false);
  }

  @Override
  public Graph graph() {
    Section loss = recipe.autoencoder();
    ReconstructionLoss reconstruction =
        new ReconstructionLoss(
            loss.number("absolute", 1), loss.number("squared", 1), loss.number("edges", 0));
    return new AutoencoderObjective(
            new AutoencoderKL(config), config.latentChannels(), reconstruction)
        .graph();
  }

  @Override
  public ParameterSource weights() {
    return weights;
  }

  @Override
  public boolean trains(String parameter) {
    return !decoderOnly || parameter.startsWith("decoder.") || parameter.startsWith("post_quant");
  }

  @Override
  public HostTensor[] at(long position) {
    RandomGenerator random = Batches.random(recipe.settings().seed(), position);
    int batch = recipe.batch();
    int side = recipe.side();
    float[] images = new float[batch * 3 * side * side];
    for (int i = 0; i < batch; i++) {
      float[] image = recipe.view(3).of(examples.at(order.at(position * batch + i)), random);
      System.arraycopy(image, 0, images, i * image.length, image.length);
    }
    int latent = side / config.scaleFactor();
    double share = warmUp == 0 ? 1 : Math.min(1, (double) position / warmUp);
    return new HostTensor[] {
      new HostTensor.Floats(images, batch, 3, side, side),
      Gaussians.draw(random, batch, config.latentChannels(), latent, latent),
      new HostTensor.Floats(new float[] {(float) (share * divergence)}, 1)
    };
  }

  @Override
  public void export(List<NamedWeight> trained) {
    new TrainedFolder(base, model()).write(trained, Map.of(VAE, ""), recipe.storedAs());
  }

  @Override
  public Path model() {
    return recipe.out().resolve("model");
  }

  /** None: a pipeline's images are its denoising network's. */
  @Override
  public List<GenerationSpec> samples() {
    return List.of();
  }

  @Override
  public void close() {
    weights.close();
  }
}
