/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import io.github.flinkdiffusion.examples.training.SmallStableDiffusion;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.training.Batches;
import io.github.flinkdiffusion.ops.training.DecoderObjective;
import io.github.flinkdiffusion.ops.training.LearningRate;
import io.github.flinkdiffusion.ops.training.ReconstructionLoss;
import io.github.flinkdiffusion.ops.training.TrainedWeights;
import io.github.flinkdiffusion.ops.training.TrainingSettings;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.random.RandomGenerator;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Refines the decoder of the second embedded model: latents a little off, as a denoising network
 * leaves them, to sharp images. Latents stay what they are, so it may follow the denoiser's
 * training or precede it, and goes on where it was stopped.
 */
@Command(
    name = "scene-decoder-training",
    mixinStandardHelpOptions = true,
    description = "Refines the decoder of the second embedded text-to-image model. Resumable.")
public final class SceneDecoderTraining implements Callable<Integer> {
  private static final long SEED = 20_261_132;

  /** Deviation of the noise on latents of unit variance. */
  private static final double LATENT_JITTER = 0.05;

  private static final ReconstructionLoss RECONSTRUCTION = new ReconstructionLoss(1, 1, 0.5);

  @Mixin private SceneTraining shared;

  @Option(names = "--out", required = true, description = "Model folder to write.")
  private Path out;

  @Option(
      names = "--scenes",
      defaultValue = "20000",
      description = "Scenes to train on (default: ${DEFAULT-VALUE}).")
  private int scenes;

  @Option(
      names = "--steps",
      defaultValue = "4000",
      description = "Steps in all (default: ${DEFAULT-VALUE}).")
  private int steps;

  @Option(
      names = "--batch",
      defaultValue = "8",
      description = "Images in a step (default: ${DEFAULT-VALUE}).")
  private int batch;

  public static void main(String[] args) {
    System.exit(new CommandLine(new SceneDecoderTraining()).execute(args));
  }

  @Override
  public Integer call() throws Exception {
    IconLibrary library = shared.icons();
    SceneLatents latents = shared.latents(library, scenes);
    Graph graph =
        new DecoderObjective(new AutoencoderKL(SceneModel.MODEL.autoencoder()), RECONSTRUCTION)
            .graph();
    Path refined = shared.refinedAutoencoder();
    try (TensorStore original = Safetensors.open(shared.autoencoder())) {
      shared.run(
          "decoder",
          graph,
          TrainedWeights.source(original),
          new TrainingSettings(
              LearningRate.cosine(1e-3, 100, steps), SceneTraining.SAVE_EVERY, SEED),
          steps,
          batch,
          position -> batch(latents, library, position),
          network -> {
            TrainedWeights.writeRefined(
                refined, original, graph, network.averagedWeights(), DType.F32);
            SceneModel.MODEL.writeAutoencoder(out, refined, latents.scalingFactor());
          });
    }
    return 0;
  }

  private HostTensor[] batch(SceneLatents latents, IconLibrary library, long position) {
    RandomGenerator random = Batches.random(SEED, position);
    int side = SceneModel.SIDE;
    int latentSide = SceneModel.LATENT_SIDE;
    int channels = SmallStableDiffusion.LATENT_CHANNELS;
    int size = channels * latentSide * latentSide;
    float[] input = new float[batch * size];
    float[] images = new float[batch * 3 * side * side];
    for (int i = 0; i < batch; i++) {
      int scene = random.nextInt(latents.count());
      latents.copy(scene, input, i * size);
      float[] image =
          SceneVocabulary.training(scene).draw(library, side, SceneVocabulary.drawing(scene));
      System.arraycopy(image, 0, images, i * image.length, image.length);
    }
    for (int i = 0; i < input.length; i++) {
      double off = input[i] + LATENT_JITTER * random.nextGaussian();
      input[i] = (float) (off / latents.scalingFactor());
    }
    return new HostTensor[] {
      new HostTensor.Floats(input, batch, channels, latentSide, latentSide),
      new HostTensor.Floats(images, batch, 3, side, side)
    };
  }
}
