/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import io.github.flinkdiffusion.examples.training.TrainingBar;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.training.Batches;
import io.github.flinkdiffusion.ops.training.Training;
import io.github.flinkdiffusion.ops.training.TrainingFolder;
import io.github.flinkdiffusion.ops.training.TrainingSettings;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * What the three trainings of the second embedded model share: the icons that scenes are drawn
 * with, the work folder, and a training that goes on where it was stopped. A batch follows from its
 * position; everything else is in the work folder.
 */
final class SceneTraining {
  static final int SAVE_EVERY = 250;

  @Mixin private SceneIcons icons;

  @Option(
      names = "--work",
      required = true,
      description =
          "Folder of the trainings' state, of the autoencoder's weights and of the latents.")
  private Path work;

  @Option(
      names = "--arithmetic",
      defaultValue = "MIXED_BFLOAT16",
      description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private Arithmetic arithmetic;

  /** Writes what a training has learned so far. */
  @FunctionalInterface
  interface Save {
    void save(TrainableNetwork network) throws IOException;
  }

  IconLibrary icons() throws IOException {
    return icons.open();
  }

  /** The autoencoder as it was trained, before its decoder is refined. */
  Path autoencoder() {
    return work.resolve("autoencoder.safetensors");
  }

  /** The autoencoder with its decoder refined. */
  Path refinedAutoencoder() {
    return work.resolve("autoencoder-refined.safetensors");
  }

  SceneLatents latents(IconLibrary library, int scenes) throws Exception {
    return SceneLatents.open(work.resolve("latents"), autoencoder(), library, scenes);
  }

  /**
   * Trains, or goes on to train.
   *
   * @param name of the bar, and of the state's folder
   * @param steps in all
   * @param samples in a step
   * @param save called whenever the state is saved
   */
  void run(
      String name,
      Graph graph,
      ParameterSource weights,
      TrainingSettings settings,
      int steps,
      int samples,
      Batches batches,
      Save save)
      throws IOException {
    Files.createDirectories(work);
    System.out.printf("%s: %,d parameters%n", name, graph.parameterCount());
    try (TrainableNetwork network =
        Engines.standard()
            .trainer()
            .train(
                Program.of(name, graph, Precision.FLOAT32, weights), DeviceSpec.CPU, arithmetic)) {
      Training training =
          Training.open(
              network, settings, new TrainingFolder(work.resolve(name + "-state")), batches);
      System.out.printf("goes on after step %,d%n", training.step());
      try (TrainingBar bar = new TrainingBar(name, training.step(), steps, samples)) {
        training.run(bar.saving(step -> save.save(network)));
      }
    }
  }
}
