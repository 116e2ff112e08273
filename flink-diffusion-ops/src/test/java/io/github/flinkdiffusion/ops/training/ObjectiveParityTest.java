/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.NamedWeight;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.scheduler.SchedulerConfig;
import io.github.flinkdiffusion.ops.scheduler.TrainingLevels;
import io.github.flinkdiffusion.ops.training.DiffusionObjective.Variance;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Losses on a fixed batch and their gradients, beside diffusers' formulas in torch. */
class ObjectiveParityTest {
  private static final double TOLERANCE = 1e-5;

  /** A network of one convolution. */
  private static Denoiser convolution(int outputs) {
    return (root, noisy, timestep) ->
        root.method()
            .conv2d(
                noisy,
                root.method().graph().parameter("weight", outputs, 2, 1, 1),
                root.method().graph().parameter("bias", outputs),
                1,
                0);
  }

  static Stream<String> cases() {
    try (Fixture fixture = new Fixture("objectives.safetensors")) {
      return List.copyOf(fixture.names()).stream()
          .filter(name -> name.matches("[A-Z]+/[A-Z_]+/\\w+/loss"))
          .map(name -> name.substring(0, name.lastIndexOf('/')));
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void aLossAndItsGradientsFollowDiffusers(String name) {
    String[] parts = name.split("/");
    PredictionTarget target = PredictionTarget.valueOf(parts[0]);
    DiffusionObjective objective =
        new DiffusionObjective(
            convolution(2), 2, target, Distance.valueOf(parts[1]), Variance.FIXED);
    LossWeight weight = parts[2].equals("min_snr") ? new LossWeight.MinSnr(5) : LossWeight.UNIFORM;
    compare(name, objective, weight, 2);
  }

  @Test
  void thereIsACaseOfEveryTargetAndDistance() {
    assertThat(cases()).hasSize(3 * 4 * 2 + 2);
  }

  @ParameterizedTest
  @ValueSource(strings = {"EPSILON", "SAMPLE", "V"})
  void learnedVariancesFollowTheVariationalBound(String target) {
    DiffusionObjective objective =
        new DiffusionObjective(
            convolution(4),
            2,
            PredictionTarget.valueOf(target),
            Distance.SQUARED,
            Variance.LEARNED_RANGE);
    compare(target + "/hybrid", objective, LossWeight.UNIFORM, 4);
  }

  private static void compare(
      String name, DiffusionObjective objective, LossWeight weight, int outputs) {
    TrainingLevels levels =
        objective.target() == PredictionTarget.FLOW
            ? TrainingLevels.of(
                SchedulerConfig.parse(
                    "{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"shift\": 3}", "test"))
            : TrainingArithmeticTest.levels("linear");
    DiffusionInputs inputs =
        new DiffusionInputs(objective, levels, weight, HuberThreshold.DEFAULT, 0);
    try (Fixture fixture = new Fixture("objectives.safetensors");
        TrainableNetwork network = train(objective.graph(), firstOf(fixture, outputs))) {
      float loss =
          network.accumulate(
              1, inputs.at(fixture.levels(), fixture.tensor("clean"), fixture.tensor("noise")));
      Fixture.assertClose(
          new float[] {loss}, fixture.floats(name + "/loss"), TOLERANCE, name + " loss");
      for (NamedWeight gradient : network.gradients()) {
        String key = name + "/" + gradient.name();
        Fixture.assertClose(gradient.value().data(), fixture.floats(key), TOLERANCE, key);
      }
    }
  }

  private static TrainableNetwork train(Graph graph, ParameterSource weights) {
    return Engines.standard()
        .trainer()
        .train(
            Program.of("objective", graph, Precision.FLOAT32, weights),
            DeviceSpec.CPU,
            Arithmetic.AS_STORED);
  }

  /** The first rows of the fixture's weights. */
  private static ParameterSource firstOf(Fixture fixture, int outputs) {
    return (name, shape, out) -> {
      int size = (int) Graph.elements(shape);
      ByteBuffer bytes = ByteBuffer.allocate(size * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      bytes.asFloatBuffer().put(fixture.floats(name), 0, size);
      out.write(bytes.array());
    };
  }

  /** Each channel of each sample is shifted by one number, whose deviation is the offset. */
  @Test
  void aNoiseOffsetShiftsWholeChannels() {
    DiffusionObjective objective =
        new DiffusionObjective(convolution(2), 2, PredictionTarget.EPSILON);
    TrainingLevels levels = TrainingArithmeticTest.levels("linear");
    var clean = new HostTensor.Floats(new float[200 * 2 * 16], 200, 2, 4, 4);
    float[] plain = noise(new DiffusionInputs(objective, levels), clean);
    float[] shifted =
        noise(
            new DiffusionInputs(objective, levels, LossWeight.UNIFORM, HuberThreshold.DEFAULT, 0.5),
            clean);
    double squares = 0;
    for (int channel = 0; channel < 400; channel++) {
      double offset = shifted[channel * 16] - plain[channel * 16];
      for (int i = 1; i < 16; i++) {
        assertThat(shifted[channel * 16 + i] - plain[channel * 16 + i])
            .isCloseTo((float) offset, within(1e-5f));
      }
      squares += offset * offset / 400;
    }
    assertThat(Math.sqrt(squares)).isBetween(0.44, 0.56);
  }

  private static float[] noise(DiffusionInputs inputs, HostTensor.Floats clean) {
    var made = inputs.drawnAt(new Random(3), new int[200], clean);
    return ((HostTensor.Floats) made[1]).data();
  }
}
