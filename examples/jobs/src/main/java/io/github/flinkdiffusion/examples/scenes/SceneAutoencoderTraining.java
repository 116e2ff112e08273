/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import io.github.flinkdiffusion.examples.training.SmallStableDiffusion;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.training.AutoencoderObjective;
import io.github.flinkdiffusion.ops.training.Batches;
import io.github.flinkdiffusion.ops.training.Gaussians;
import io.github.flinkdiffusion.ops.training.LearningRate;
import io.github.flinkdiffusion.ops.training.ReconstructionLoss;
import io.github.flinkdiffusion.ops.training.TrainedWeights;
import io.github.flinkdiffusion.ops.training.TrainingSettings;
import io.github.flinkdiffusion.ops.training.WarmStart;
import io.github.flinkdiffusion.ops.training.WeightInitializer;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Trains the autoencoder of the second embedded model, and goes on where it was stopped: batch and
 * noise of a step follow from the batch's position, everything else is in the work folder.
 */
@Command(
    name = "scene-autoencoder-training",
    mixinStandardHelpOptions = true,
    description = "Trains the autoencoder of the second embedded text-to-image model. Resumable.")
public final class SceneAutoencoderTraining implements Callable<Integer> {
  private static final long SEED = 20261129;
  private static final float DIVERGENCE_WEIGHT = 1e-6f;

  @Mixin private SceneTraining shared;

  @Option(
      names = "--warm-start",
      defaultValue = "examples/models/mini-emoji",
      description =
          "Model folder whose autoencoder to go on from, where shapes are the same (default:"
              + " ${DEFAULT-VALUE}).")
  private Path warmStart;

  @Option(
      names = "--steps",
      defaultValue = "2400",
      description = "Steps in all (default: ${DEFAULT-VALUE}).")
  private int steps;

  @Option(
      names = "--batch",
      defaultValue = "8",
      description = "Images in a step (default: ${DEFAULT-VALUE}).")
  private int batch;

  public static void main(String[] args) {
    System.exit(new CommandLine(new SceneAutoencoderTraining()).execute(args));
  }

  @Override
  public Integer call() throws Exception {
    IconLibrary library = shared.icons();
    Graph graph =
        new AutoencoderObjective(
                new AutoencoderKL(SceneModel.MODEL.autoencoder()),
                SmallStableDiffusion.LATENT_CHANNELS,
                ReconstructionLoss.DEFAULT)
            .graph();
    try (TensorStore earlier = ModelFolder.open(warmStart).component("vae").open()) {
      shared.run(
          "autoencoder",
          graph,
          new WarmStart(Map.of("", earlier), new WeightInitializer(SEED)),
          new TrainingSettings(
              LearningRate.cosine(1e-3, 100, steps), SceneTraining.SAVE_EVERY, SEED),
          steps,
          batch,
          position -> batch(library, position),
          network ->
              TrainedWeights.write(
                  shared.autoencoder(), graph, network.averagedWeights(), "", DType.F32));
    }
    return 0;
  }

  private HostTensor[] batch(IconLibrary library, long position) {
    int side = SceneModel.SIDE;
    int size = 3 * side * side;
    float[] images = new float[batch * size];
    for (int i = 0; i < batch; i++) {
      long number = position * batch + i;
      float[] image =
          SceneVocabulary.training(number).draw(library, side, SceneVocabulary.drawing(number));
      System.arraycopy(image, 0, images, i * size, size);
    }
    int latent = SceneModel.LATENT_SIDE;
    return new HostTensor[] {
      new HostTensor.Floats(images, batch, 3, side, side),
      Gaussians.draw(
          Batches.random(SEED, position),
          batch,
          SmallStableDiffusion.LATENT_CHANNELS,
          latent,
          latent),
      new HostTensor.Floats(new float[] {DIVERGENCE_WEIGHT}, 1)
    };
  }
}
