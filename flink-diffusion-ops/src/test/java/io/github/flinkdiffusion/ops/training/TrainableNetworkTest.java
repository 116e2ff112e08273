/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Optimizer.AdamW;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.TrainingState;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.WeightState;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.network.Activation;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class TrainableNetworkTest {
  @TempDir private Path folder;

  @Test
  void learnsALine() throws Exception {
    Graph graph = new Graph();
    Method m = graph.method("forward");
    Value x = m.input("x", 2);
    Value y = m.input("y", 2);
    Value out =
        m.linear(x, graph.parameter("layer.weight", 1, 1), graph.parameter("layer.bias", 1));
    m.returns(m.meanSquaredError(out, y));
    Program program = Program.of("net", graph, Precision.FLOAT32, new WeightInitializer(1));
    try (TrainableNetwork network =
        Engines.standard().trainer().train(program, DeviceSpec.CPU, Arithmetic.AS_STORED)) {
      HostTensor.Floats inputs = new HostTensor.Floats(new float[] {-1, 0, 1, 2}, 4, 1);
      HostTensor.Floats targets = new HostTensor.Floats(new float[] {-1, 1, 3, 5}, 4, 1);
      for (int i = 0; i < 800; i++) {
        network.step(AdamW.DEFAULT, 0.02, 0.9, inputs, targets);
      }
      List<TrainableNetwork.NamedWeight> weights = network.averagedWeights();
      assertThat(weights)
          .extracting(TrainableNetwork.NamedWeight::name)
          .containsExactly("layer.weight", "layer.bias");
      assertThat(weights.get(0).value().data()[0]).isCloseTo(2f, within(0.01f));
      assertThat(weights.get(1).value().data()[0]).isCloseTo(1f, within(0.01f));
    }
  }

  @ParameterizedTest
  @EnumSource(Arithmetic.class)
  void anAutoencoderLearnsToRepeatAPicture(Arithmetic arithmetic) throws Exception {
    AutoencoderKLConfig config =
        new AutoencoderKLConfig(
            3,
            3,
            List.of(8, 8),
            1,
            4,
            4,
            Activation.SILU,
            true,
            true,
            true,
            1,
            0,
            false,
            List.of(),
            List.of());
    Graph graph =
        new AutoencoderObjective(new AutoencoderKL(config), 4, ReconstructionLoss.DEFAULT).graph();
    Program program = Program.of("net", graph, Precision.FLOAT32, new WeightInitializer(3));
    Random random = new Random(5);
    float[] picture = new float[3 * 8 * 8];
    for (int i = 0; i < picture.length; i++) {
      picture[i] = random.nextFloat() * 2 - 1;
    }
    try (TrainableNetwork network =
        Engines.standard().trainer().train(program, DeviceSpec.CPU, arithmetic)) {
      HostTensor.Floats image = new HostTensor.Floats(picture, 1, 3, 8, 8);
      HostTensor.Floats noise = new HostTensor.Floats(new float[4 * 4 * 4], 1, 4, 4, 4);
      HostTensor.Floats weight = new HostTensor.Floats(new float[] {1e-6f}, 1);
      float first = network.step(AdamW.DEFAULT, 5e-3, 0.9, image, noise, weight);
      float last = first;
      for (int i = 0; i < 100; i++) {
        last = network.step(AdamW.DEFAULT, 5e-3, 0.9, image, noise, weight);
      }
      assertThat(last).isLessThan(first / 2);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aTrainingThatIsSavedAndResumedEqualsTheUndisturbedOne(boolean savedByAnEarlierVersion) {
    Graph graph = new Graph();
    Method m = graph.method("forward");
    Value x = m.input("x", 2);
    Value y = m.input("y", 2);
    Value hidden =
        m.silu(m.linear(x, graph.parameter("a.weight", 4, 2), graph.parameter("a.bias", 4)));
    Value out = m.linear(hidden, graph.parameter("b.weight", 1, 4), graph.parameter("b.bias", 1));
    m.returns(m.meanSquaredError(out, y));
    Program program = Program.of("net", graph, Precision.FLOAT32, new WeightInitializer(7));
    List<Float> undisturbed = new ArrayList<>();
    try (TrainableNetwork network =
        Engines.standard().trainer().train(program, DeviceSpec.CPU, Arithmetic.AS_STORED)) {
      for (int step = 0; step < 20; step++) {
        undisturbed.add(step(network, step));
      }
    }
    Path saved = folder.resolve("state.safetensors");
    List<Float> resumed = new ArrayList<>();
    try (TrainableNetwork network =
        Engines.standard().trainer().train(program, DeviceSpec.CPU, Arithmetic.AS_STORED)) {
      for (int step = 0; step < 9; step++) {
        resumed.add(step(network, step));
      }
      TrainingCheckpoint.write(
          saved, savedByAnEarlierVersion ? asNamedEarlier(network.state()) : network.state());
    }
    try (TrainableNetwork network =
        Engines.standard().trainer().train(program, DeviceSpec.CPU, Arithmetic.AS_STORED)) {
      network.restore(TrainingCheckpoint.read(saved));
      for (int step = 9; step < 20; step++) {
        resumed.add(step(network, step));
      }
    }
    assertThat(resumed).isEqualTo(undisturbed);
  }

  /** Earlier versions wrote the names that the archive's module had. */
  private static TrainingState asNamedEarlier(TrainingState state) {
    return new TrainingState(
        state.updates(),
        state.weights().stream()
            .map(w -> new WeightState("w_" + w.name().replace('.', '_'), w.tensors()))
            .toList());
  }

  /** A step on a batch that follows from the step's number. */
  private static float step(TrainableNetwork network, int number) {
    Random random = new Random(number);
    float[] inputs = new float[16];
    float[] targets = new float[8];
    for (int i = 0; i < 8; i++) {
      inputs[2 * i] = random.nextFloat();
      inputs[2 * i + 1] = random.nextFloat();
      targets[i] = inputs[2 * i] * inputs[2 * i + 1];
    }
    return network.step(
        AdamW.DEFAULT,
        0.01,
        0.9,
        new HostTensor.Floats(inputs, 8, 2),
        new HostTensor.Floats(targets, 8, 1));
  }

  @Test
  void aStateOfAnotherNetworkIsRefused() throws Exception {
    Program one = Program.of("one", line(1), Precision.FLOAT32, new WeightInitializer(1));
    Program two = Program.of("two", line(2), Precision.FLOAT32, new WeightInitializer(1));
    TrainingState state;
    try (TrainableNetwork network =
        Engines.standard().trainer().train(one, DeviceSpec.CPU, Arithmetic.AS_STORED)) {
      state = network.state();
    }
    try (TrainableNetwork network =
        Engines.standard().trainer().train(two, DeviceSpec.CPU, Arithmetic.AS_STORED)) {
      assertThatThrownBy(() -> network.restore(state))
          .hasMessageContaining("layer.weight")
          .hasMessageContaining("another network");
    }
  }

  private static Graph line(int inputs) {
    Graph graph = new Graph();
    Method m = graph.method("forward");
    Value x = m.input("x", 2);
    Value out =
        m.linear(x, graph.parameter("layer.weight", 1, inputs), graph.parameter("layer.bias", 1));
    m.returns(m.mean(out));
    return graph;
  }
}
