package io.github.flinkdiffusion.ops.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.AdamW;
import io.github.flinkdiffusion.ops.network.Activation;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import io.github.flinkdiffusion.ops.torchscript.ArchiveWriter;
import io.github.flinkdiffusion.ops.torchscript.Arithmetic;
import io.github.flinkdiffusion.ops.torchscript.Graph;
import io.github.flinkdiffusion.ops.torchscript.Method;
import io.github.flinkdiffusion.ops.torchscript.StorageType;
import io.github.flinkdiffusion.ops.torchscript.Value;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TrainableNetworkTest {
  @TempDir private Path folder;

  @Test
  void learnsALine() throws Exception {
    Graph graph = new Graph();
    Method m = graph.method("forward");
    Value x = m.input("x");
    Value y = m.input("y");
    Value out =
        m.linear(x, graph.parameter("layer.weight", 1, 1), graph.parameter("layer.bias", 1));
    m.returns(m.meanSquaredError(out, y));
    Path archive = folder.resolve("line.pt");
    new ArchiveWriter(graph, StorageType.FLOAT32).write(archive, new WeightInitializer(1));
    try (TrainableNetwork network = TrainableNetwork.load(archive, DeviceSpec.CPU)) {
      HostTensor.Floats inputs = new HostTensor.Floats(new float[] {-1, 0, 1, 2}, 4, 1);
      HostTensor.Floats targets = new HostTensor.Floats(new float[] {-1, 1, 3, 5}, 4, 1);
      for (int i = 0; i < 800; i++) {
        network.step(AdamW.DEFAULT, 0.02, 0.9, inputs, targets);
      }
      List<TrainableNetwork.NamedWeight> weights = network.averagedWeights();
      assertThat(weights)
          .extracting(TrainableNetwork.NamedWeight::identifier)
          .containsExactly("w_layer_weight", "w_layer_bias");
      assertThat(weights.get(0).value().data()[0]).isCloseTo(2f, within(0.01f));
      assertThat(weights.get(1).value().data()[0]).isCloseTo(1f, within(0.01f));
    }
  }

  @ParameterizedTest
  @EnumSource(Arithmetic.class)
  void anAutoencoderLearnsToRepeatAPicture(Arithmetic arithmetic) throws Exception {
    AutoencoderKLConfig config =
        new AutoencoderKLConfig(
            3, 3, List.of(8, 8), 1, 4, 4, Activation.SILU, true, true, true, 1, 0, false);
    Graph graph = new AutoencoderObjective(new AutoencoderKL(config), 4, 1e-6).graph();
    Path archive = folder.resolve("vae.pt");
    new ArchiveWriter(graph, StorageType.FLOAT32, arithmetic)
        .write(archive, new WeightInitializer(3));
    Random random = new Random(5);
    float[] picture = new float[3 * 8 * 8];
    for (int i = 0; i < picture.length; i++) {
      picture[i] = random.nextFloat() * 2 - 1;
    }
    try (TrainableNetwork network = TrainableNetwork.load(archive, DeviceSpec.CPU)) {
      HostTensor.Floats image = new HostTensor.Floats(picture, 1, 3, 8, 8);
      HostTensor.Floats noise = new HostTensor.Floats(new float[4 * 4 * 4], 1, 4, 4, 4);
      float first = network.step(AdamW.DEFAULT, 5e-3, 0.9, image, noise);
      float last = first;
      for (int i = 0; i < 100; i++) {
        last = network.step(AdamW.DEFAULT, 5e-3, 0.9, image, noise);
      }
      assertThat(last).isLessThan(first / 2);
    }
  }

  @Test
  void theLearningRateRisesThenFallsToATenth() {
    LearningRate rate = new LearningRate(1, 10, 110);
    assertThat(rate.at(0)).isEqualTo(0.1);
    assertThat(rate.at(9)).isEqualTo(1);
    assertThat(rate.at(60)).isCloseTo(0.55, within(1e-9));
    assertThat(rate.at(110)).isCloseTo(0.1, within(1e-9));
    assertThat(rate.at(1000)).isCloseTo(0.1, within(1e-9));
  }
}
