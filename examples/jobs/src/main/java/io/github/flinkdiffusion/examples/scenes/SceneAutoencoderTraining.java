/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import io.github.flinkdiffusion.examples.training.TrainingBar;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.training.AutoencoderObjective;
import io.github.flinkdiffusion.ops.training.Batches;
import io.github.flinkdiffusion.ops.training.Gaussians;
import io.github.flinkdiffusion.ops.training.LearningRate;
import io.github.flinkdiffusion.ops.training.ReconstructionLoss;
import io.github.flinkdiffusion.ops.training.TrainedWeights;
import io.github.flinkdiffusion.ops.training.Training;
import io.github.flinkdiffusion.ops.training.TrainingFolder;
import io.github.flinkdiffusion.ops.training.TrainingSettings;
import io.github.flinkdiffusion.ops.training.WarmStart;
import io.github.flinkdiffusion.ops.training.WeightInitializer;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
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
  private static final int SAVE_EVERY = 250;
  private static final float DIVERGENCE_WEIGHT = 1e-6f;

  @Option(
      names = "--icons",
      required = true,
      split = ",",
      description =
          "icons.json of npm packages @iconify-json/noto and @iconify-json/fluent-emoji-flat.")
  private List<Path> icons;

  @Option(
      names = "--work",
      required = true,
      description = "Folder of the training's state and of the weights so far.")
  private Path work;

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

  @Option(
      names = "--arithmetic",
      defaultValue = "MIXED_BFLOAT16",
      description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private Arithmetic arithmetic;

  public static void main(String[] args) {
    System.exit(new CommandLine(new SceneAutoencoderTraining()).execute(args));
  }

  @Override
  public Integer call() throws Exception {
    Files.createDirectories(work);
    IconLibrary library = IconLibrary.open(icons, SceneVocabulary.nouns(), SceneModel.SIDE);
    Graph graph =
        new AutoencoderObjective(
                new AutoencoderKL(SceneModel.autoencoder()),
                SceneModel.LATENT_CHANNELS,
                ReconstructionLoss.DEFAULT)
            .graph();
    System.out.printf("autoencoder: %,d parameters%n", graph.parameterCount());
    TrainingFolder folder = new TrainingFolder(work.resolve("autoencoder-state"));
    TrainingSettings settings =
        new TrainingSettings(LearningRate.cosine(1e-3, 100, steps), SAVE_EVERY, SEED);
    try (TensorStore earlier = ModelFolder.open(warmStart).component("vae").open();
        TrainableNetwork network =
            Engines.standard()
                .trainer()
                .train(
                    Program.of(
                        "autoencoder",
                        graph,
                        Precision.FLOAT32,
                        new WarmStart(Map.of("", earlier), new WeightInitializer(SEED))),
                    DeviceSpec.CPU,
                    arithmetic)) {
      Training training =
          Training.open(network, settings, folder, position -> batch(library, position));
      System.out.printf("goes on after step %,d%n", training.step());
      Path weights = work.resolve("autoencoder.safetensors");
      try (TrainingBar bar = new TrainingBar("autoencoder", training.step(), steps, batch)) {
        training.run(
            bar.saving(
                step ->
                    TrainedWeights.write(
                        weights, graph, network.averagedWeights(), "", DType.F32)));
      }
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
          Batches.random(SEED, position), batch, SceneModel.LATENT_CHANNELS, latent, latent),
      new HostTensor.Floats(new float[] {DIVERGENCE_WEIGHT}, 1)
    };
  }
}
