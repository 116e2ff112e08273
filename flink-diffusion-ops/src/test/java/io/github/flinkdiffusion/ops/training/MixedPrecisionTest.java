/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.NamedWeight;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.network.UNet2DConfig;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import org.junit.jupiter.api.Test;

/**
 * Mixed bfloat16 beside torch's autocast. Both round where they like, so they are compared by how
 * far they are from float32: a loss by 2e-3 of it, a gradient by twice the distance of autocast's.
 */
class MixedPrecisionTest {
  private static final double LOSS = 2e-3;
  private static final double GRADIENT = 2;

  @Test
  void isAsNearToFloat32AsTorchsAutocast() {
    ModelComponent component =
        ModelFolder.open(Fixture.MODELS.resolve("tiny-ddpm")).component("unet");
    DiffusionObjective objective =
        new DiffusionObjective(
            Denoiser.unconditional(new UNet2D(UNet2DConfig.from(component.config()))),
            3,
            PredictionTarget.EPSILON);
    try (Fixture fixture = new Fixture("mixed.safetensors");
        TensorStore weights = component.open();
        TrainableNetwork network =
            Engines.standard()
                .trainer()
                .train(
                    Program.of(
                        "objective",
                        objective.graph(),
                        Precision.FLOAT32,
                        TrainedWeights.source(weights)),
                    DeviceSpec.CPU,
                    Arithmetic.MIXED_BFLOAT16)) {
      float loss =
          network.accumulate(
              1,
              new DiffusionInputs(objective, TrainingArithmeticTest.levels("scaled_linear"))
                  .at(
                      fixture.levels(),
                      fixture.tensor("mixed/clean"),
                      fixture.tensor("mixed/noise")));
      double full = fixture.scalar("full/loss");
      assertThat((double) loss).isCloseTo(full, within(LOSS * full));
      assertThat((double) fixture.scalar("mixed/loss")).isCloseTo(full, within(LOSS * full));
      int compared = 0;
      for (NamedWeight gradient : network.gradients()) {
        String key = "full/gradient/" + gradient.name();
        if (fixture.names().contains(key)) {
          float[] exact = fixture.floats(key);
          double ours = distance(gradient.value().data(), exact);
          double torchs = distance(fixture.floats(key.replace("full/", "mixed/")), exact);
          // If it were computed in float32, it would be nearer by orders of magnitude.
          assertThat(ours).as(key).isBetween(torchs / 100, GRADIENT * torchs);
          compared++;
        }
      }
      assertThat(compared).isEqualTo(4);
    }
  }

  /** Relative to the length of the second. */
  private static double distance(float[] a, float[] b) {
    assertThat(a).hasSameSizeAs(b);
    double squares = 0;
    double length = 0;
    for (int i = 0; i < a.length; i++) {
      squares += (double) (a[i] - b[i]) * (a[i] - b[i]);
      length += (double) b[i] * b[i];
    }
    return Math.sqrt(squares / length);
  }
}
