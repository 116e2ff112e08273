/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import io.github.flinkdiffusion.examples.training.TrainingBar;
import io.github.flinkdiffusion.ops.engine.Engine;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Optimizer;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.scheduler.TrainingLevels;
import io.github.flinkdiffusion.ops.training.AverageDecay;
import io.github.flinkdiffusion.ops.training.Batches;
import io.github.flinkdiffusion.ops.training.Denoiser;
import io.github.flinkdiffusion.ops.training.DiffusionInputs;
import io.github.flinkdiffusion.ops.training.DiffusionObjective;
import io.github.flinkdiffusion.ops.training.LearningRate;
import io.github.flinkdiffusion.ops.training.LossSpikes;
import io.github.flinkdiffusion.ops.training.PredictionTarget;
import io.github.flinkdiffusion.ops.training.TrainedWeights;
import io.github.flinkdiffusion.ops.training.Training;
import io.github.flinkdiffusion.ops.training.TrainingFolder;
import io.github.flinkdiffusion.ops.training.TrainingSettings;
import io.github.flinkdiffusion.ops.training.WarmStart;
import io.github.flinkdiffusion.ops.training.WeightInitializer;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.random.RandomGenerator;
import picocli.CommandLine.Option;

/**
 * Trains a concatenation-conditioned network until its steps are done. The state is saved to the
 * work folder every few minutes, and the averaged weights in float16 to the model folder, so a run
 * that was broken off goes on as if it had not been.
 */
final class DenoiserTraining {
  private static final long SEED = 20_261_122;
  private static final int SAVE_EVERY = 100;

  @Option(
      names = "--work",
      required = true,
      description = "Folder for the state from which an interrupted run continues.")
  private Path work;

  @Option(
      names = "--warm-start",
      description =
          "Model folder whose weights to begin with (default: fresh ones). Give --first-look 0"
              + " with it.")
  private Path warmStart;

  @Option(names = "--steps", description = "Training steps (default: ${DEFAULT-VALUE}).")
  private int steps = 6000;

  @Option(
      names = "--first-look",
      description =
          "Steps, of those, that see pure noise only (default: ${DEFAULT-VALUE}): the network"
              + " learns what the condition alone says before it learns to use the sample.")
  private int firstLook = 400;

  @Option(names = "--batch", description = "Images in a step (default: ${DEFAULT-VALUE}).")
  private int batch = 8;

  @Option(names = "--peak-rate", description = "Highest learning rate (default: ${DEFAULT-VALUE}).")
  private double peakRate = 1e-3;

  @Option(
      names = "--arithmetic",
      description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private Arithmetic arithmetic = Arithmetic.MIXED_BFLOAT16;

  @Option(names = "--device", description = "auto, cpu or gpu:N (default: ${DEFAULT-VALUE}).")
  private String device = "auto";

  /** Where training examples come from. */
  interface Examples {
    /** Channels of what is to be predicted. */
    int targetChannels();

    /** Channels that it is conditioned on. */
    int conditionChannels();

    int height();

    int width();

    /** Writes one example, both parts channels x height x width, from an offset on. */
    void draw(
        RandomGenerator random, float[] target, int targetAt, float[] condition, int conditionAt);
  }

  void run(
      UNet2D unet, TrainingLevels levels, Examples examples, LossSpikes spikes, Path weightsFile)
      throws IOException {
    Files.createDirectories(work);
    DiffusionObjective objective =
        new DiffusionObjective(
            Denoiser.concatenated(unet), examples.targetChannels(), PredictionTarget.SAMPLE);
    DiffusionInputs inputs = new DiffusionInputs(objective, levels);
    Graph graph = objective.graph();
    ParameterSource fresh =
        quiet(new WeightInitializer(SEED, name -> name.startsWith("conv_out.")), examples);
    if (warmStart == null) {
      train(fresh, graph, inputs, examples, spikes, weightsFile);
      return;
    }
    try (TensorStore earlier = ModelFolder.open(warmStart).component("unet").open()) {
      ParameterSource begun = new WarmStart(Map.of("", earlier), fresh);
      train(begun, graph, inputs, examples, spikes, weightsFile);
    }
  }

  private void train(
      ParameterSource weights,
      Graph graph,
      DiffusionInputs inputs,
      Examples examples,
      LossSpikes spikes,
      Path weightsFile)
      throws IOException {
    Engine engine = Engines.standard().trainer();
    Program program = Program.of("objective", graph, Precision.FLOAT32, weights);
    TrainingSettings settings =
        new TrainingSettings(
            Optimizer.AdamW.DEFAULT,
            LearningRate.cosine(peakRate, steps / 40, steps),
            new AverageDecay(0.998),
            Double.POSITIVE_INFINITY,
            1,
            spikes,
            SAVE_EVERY,
            SEED);
    try (TrainableNetwork network = engine.train(program, engine.device(device), arithmetic)) {
      Training training =
          Training.open(
              network,
              settings,
              new TrainingFolder(work),
              position -> batch(inputs, examples, position));
      System.out.printf("%,d parameters, from step %d%n", graph.parameterCount(), training.step());
      try (TrainingBar bar = new TrainingBar("unet", training.step(), steps, batch)) {
        training.run(
            bar.saving(
                step -> {
                  System.out.printf("step %d, loss %.5f%n", step, bar.loss());
                  TrainedWeights.write(
                      weightsFile, graph, network.averagedWeights(), "", DType.F16);
                }));
      }
    }
  }

  /**
   * A network that begins by predicting zero and by not seeing the sample: at most noise levels the
   * sample is a distraction, and unlearning it takes longer than learning to use it.
   */
  private static ParameterSource quiet(ParameterSource weights, Examples examples) {
    return (name, shape, out) -> {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      weights.write(name, shape, bytes);
      byte[] values = bytes.toByteArray();
      if (name.equals("conv_in.weight")) {
        int output = values.length / (int) shape[0];
        int input = output / (int) shape[1];
        for (int i = 0; i < shape[0]; i++) {
          int from = i * output;
          Arrays.fill(values, from, from + examples.targetChannels() * input, (byte) 0);
        }
      }
      out.write(values);
    };
  }

  private HostTensor[] batch(DiffusionInputs inputs, Examples examples, long position) {
    RandomGenerator random = Batches.random(SEED, position);
    int height = examples.height();
    int width = examples.width();
    int targetSize = examples.targetChannels() * height * width;
    int conditionSize = examples.conditionChannels() * height * width;
    float[] clean = new float[batch * targetSize];
    float[] condition = new float[batch * conditionSize];
    int noisiest = inputs.levels().count() - 1;
    int[] levels = new int[batch];
    for (int i = 0; i < batch; i++) {
      examples.draw(random, clean, i * targetSize, condition, i * conditionSize);
      levels[i] = position < firstLook ? noisiest : random.nextInt(noisiest + 1);
    }
    return inputs.drawnAt(
        random,
        levels,
        new HostTensor.Floats(clean, batch, examples.targetChannels(), height, width),
        new HostTensor.Floats(condition, batch, examples.conditionChannels(), height, width));
  }
}
