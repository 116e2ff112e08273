/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.engine.DeviceMemoryException;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.torchscript.ArchiveWriter;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TorchNetworkTest {
  private static final float[] WEIGHTS = {1, 2, 3, 4, 5, 6};

  @TempDir private Path folder;

  /** y = W x with W = [[1,2,3],[4,5,6]], and a second method that doubles. */
  private static Graph graph() {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value x = forward.input("x", 2);
    Value weight = graph.parameter("layer.weight", 2, 3);
    forward.returns(forward.toFloat(forward.linear(forward.castAs(x, weight), weight, null)));
    Method twice = graph.method("twice");
    twice.returns(twice.multiply(twice.input("x", 2), 2));
    return graph;
  }

  private static ParameterSource weights(Precision storage) {
    return (name, shape, out) -> {
      ByteBuffer bytes =
          ByteBuffer.allocate(WEIGHTS.length * storage.bytes()).order(ByteOrder.LITTLE_ENDIAN);
      for (float weight : WEIGHTS) {
        switch (storage) {
          case FLOAT32 -> bytes.putFloat(weight);
          case BFLOAT16 -> bytes.putShort((short) (Float.floatToIntBits(weight) >>> 16));
          case FLOAT16 ->
              bytes.putShort(io.github.flinkdiffusion.ops.weights.HalfPrecision.floatToF16(weight));
        }
      }
      out.write(bytes.array());
    };
  }

  private TorchNetwork load(Precision storage) throws Exception {
    Path archive = folder.resolve("net.pt");
    new ArchiveWriter(graph(), storage, Arithmetic.AS_STORED).write(archive, weights(storage));
    return TorchNetwork.load(archive, DeviceSpec.CPU);
  }

  @ParameterizedTest
  @EnumSource(Precision.class)
  void anArchiveOfEachPrecisionComputes(Precision storage) throws Exception {
    try (TorchNetwork network = load(storage)) {
      HostTensor.Floats y =
          network.call("forward", new HostTensor.Floats(new float[] {1, 0, -1}, 1, 3));
      assertThat(y.shape()).containsExactly(1, 2);
      assertThat(y.data()).containsExactly(-2, -2);
    }
  }

  @ParameterizedTest
  @EnumSource(Arithmetic.class)
  void attentionAddsItsBiasToTheScores(Arithmetic arithmetic) throws Exception {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value q = forward.input("q", 4);
    forward.returns(
        forward.toFloat(
            forward.attention(
                q, forward.input("k", 4), forward.input("v", 4), forward.input("bias", 4))));
    Path archive = folder.resolve("attention.pt");
    new ArchiveWriter(graph, Precision.FLOAT32, arithmetic)
        .write(archive, weights(Precision.FLOAT32));
    try (TorchNetwork network = TorchNetwork.load(archive, DeviceSpec.CPU)) {
      HostTensor.Floats y =
          network.call(
              "forward",
              new HostTensor.Floats(new float[] {1}, 1, 1, 1, 1),
              new HostTensor.Floats(new float[] {0, 0, 0}, 1, 1, 3, 1),
              new HostTensor.Floats(new float[] {8, 16, 4}, 1, 1, 3, 1),
              new HostTensor.Floats(new float[] {0, 0, Float.NEGATIVE_INFINITY}, 1, 1, 1, 3));
      assertThat(y.data()).containsExactly(12);
    }
  }

  @Test
  void inputsThatDoNotFitAreAnErrorThatNamesTheNetwork() throws Exception {
    try (TorchNetwork network = load(Precision.FLOAT32)) {
      assertThatThrownBy(() -> network.call("forward", new HostTensor.Floats(new float[4], 1, 4)))
          .isInstanceOf(EngineException.class)
          .isNotInstanceOf(DeviceMemoryException.class)
          .hasMessageContaining("net.pt on cpu");
    }
  }

  @Test
  void callsLeaveNoNativeTensorBehind() throws Exception {
    try (TorchNetwork network = load(Precision.FLOAT32)) {
      network.call("forward", new HostTensor.Floats(new float[3], 1, 3));
      int before = network.nativeTensors();
      for (int i = 0; i < 20; i++) {
        network.call("forward", new HostTensor.Floats(new float[3], 1, 3));
        assertThatThrownBy(() -> network.call("forward", new HostTensor.Floats(new float[4], 1, 4)))
            .isInstanceOf(EngineException.class);
      }
      assertThat(network.nativeTensors()).isEqualTo(before);
    }
  }

  @Test
  void aFileThatIsNoArchiveIsAnErrorThatNamesIt() throws Exception {
    Path file = folder.resolve("broken.pt");
    Files.writeString(file, "not an archive");
    assertThatThrownBy(() -> TorchNetwork.load(file, DeviceSpec.CPU))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("broken.pt");
  }
}
