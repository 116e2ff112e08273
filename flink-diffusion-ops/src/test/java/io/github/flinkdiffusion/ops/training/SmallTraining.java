/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Optimizer;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.network.UNet2DConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.random.RandomGenerator;

/**
 * A training of a small UNet with all that has state: moments, an average, clipping, accumulation,
 * dropout. As a program, which tests kill, it prints each step's loss.
 */
final class SmallTraining {
  static final int STEPS = 132;
  private static final int SAVE_EVERY = 3;
  private static final int BATCH = 2;
  private static final int SIDE = 8;
  private static final long SEED = 11;

  private SmallTraining() {}

  /**
   * @param args the folder; each line on standard output is a step's number and loss
   */
  public static void main(String[] args) {
    try (TrainableNetwork network = network()) {
      open(network, Path.of(args[0]), SmallTraining::batch, STEPS)
          .run(
              new Training.Listener() {
                @Override
                public void stepped(Training.Step step) {
                  System.out.println(step.number() + " " + step.loss());
                }
              });
    }
  }

  static TrainableNetwork network() {
    try {
      Config config =
          Config.of(
              "test",
              new ObjectMapper()
                  .readTree(
                      """
                      {"in_channels": 2, "out_channels": 1, "block_out_channels": [8, 8], "layers_per_block": 1,
                       "down_block_types": ["DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D"],
                       "norm_num_groups": 4, "add_attention": false, "sample_size": 8}
                      """));
      Graph graph =
          new Dropout(Dropout.DIFFUSERS, 0.1)
              .in(objective(new UNet2D(UNet2DConfig.from(config))).graph());
      Program program =
          Program.of(
              "small",
              graph,
              Precision.FLOAT32,
              new WeightInitializer(SEED, name -> name.startsWith("conv_out.")));
      return Engines.standard().trainer().train(program, DeviceSpec.CPU, Arithmetic.AS_STORED);
    } catch (JsonProcessingException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static DiffusionObjective objective(UNet2D unet) {
    return new DiffusionObjective(Denoiser.concatenated(unet), 1, PredictionTarget.EPSILON);
  }

  static Training open(TrainableNetwork network, Path folder, Batches batches, int steps) {
    return Training.open(network, settings(steps), new TrainingFolder(folder), batches);
  }

  private static TrainingSettings settings(int steps) {
    return new TrainingSettings(
        Optimizer.AdamW.DEFAULT,
        new LearningRate(LearningRate.Shape.COSINE, 2e-3, 5, steps, 1, 0),
        new AverageDecay(0.99),
        1,
        2,
        new LossSpikes(20, 10, 2, 2),
        SAVE_EVERY,
        SEED);
  }

  static HostTensor[] batch(long position) {
    RandomGenerator random = Batches.random(SEED, position);
    DiffusionInputs inputs =
        new DiffusionInputs(objective(null), TrainingArithmeticTest.levels("linear"));
    return inputs.drawn(
        random,
        Gaussians.draw(random, BATCH, 1, SIDE, SIDE),
        Gaussians.draw(random, BATCH, 1, SIDE, SIDE));
  }
}
