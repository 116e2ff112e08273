/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Optimizer.AdamW;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.network.UNet2DConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.Random;
import org.junit.jupiter.api.Test;

class DiffusionObjectiveTest {
  private static final int BATCH = 4;
  private static final int SIDE = 8;

  /** The clean sample is the condition with its sign changed; the noise says nothing. */
  @Test
  void learnsWhatTheConditionTells() throws Exception {
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
        new DiffusionObjective(
                Denoiser.concatenated(new UNet2D(UNet2DConfig.from(config))),
                1,
                PredictionTarget.SAMPLE)
            .graph();
    Program program = Program.of("net", graph, Precision.FLOAT32, new WeightInitializer(2));
    Random random = new Random(4);
    try (TrainableNetwork network =
        Engines.standard().trainer().train(program, DeviceSpec.CPU, Arithmetic.AS_STORED)) {
      double first = 0;
      double last = 0;
      for (int step = 0; step < 200; step++) {
        float loss = network.step(AdamW.DEFAULT, 3e-3, 0.9, batch(random));
        first += step < 10 ? loss : 0;
        last += step >= 190 ? loss : 0;
      }
      assertThat(last).isLessThan(first / 4);
    }
  }

  private static HostTensor[] batch(Random random) {
    float[] condition = gaussian(random, BATCH * SIDE * SIDE);
    float[] clean = condition.clone();
    for (int i = 0; i < clean.length; i++) {
      clean[i] = -clean[i];
    }
    float[] alpha = {0.9f, 0.5f, 0.1f, 0};
    float[] sigma = new float[BATCH];
    for (int i = 0; i < BATCH; i++) {
      sigma[i] = (float) Math.sqrt(1 - alpha[i] * alpha[i]);
    }
    return new HostTensor[] {
      new HostTensor.Floats(clean, BATCH, 1, SIDE, SIDE),
      new HostTensor.Floats(gaussian(random, clean.length), BATCH, 1, SIDE, SIDE),
      new HostTensor.Floats(alpha, BATCH, 1, 1, 1),
      new HostTensor.Floats(sigma, BATCH, 1, 1, 1),
      new HostTensor.Floats(new float[] {100, 400, 800, 999}, BATCH),
      new HostTensor.Floats(new float[] {1, 1, 1, 1}, BATCH, 1, 1, 1),
      new HostTensor.Floats(condition, BATCH, 1, SIDE, SIDE)
    };
  }

  private static float[] gaussian(Random random, int n) {
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }
}
