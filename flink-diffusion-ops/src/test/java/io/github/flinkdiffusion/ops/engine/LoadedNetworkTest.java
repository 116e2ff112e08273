package io.github.flinkdiffusion.ops.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.torchscript.ArchiveWriter;
import io.github.flinkdiffusion.ops.torchscript.Arithmetic;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class LoadedNetworkTest {
  private static final float[] WEIGHTS = {1, 2, 3, 4, 5, 6};

  @TempDir private Path folder;

  /** y = W x with W = [[1,2,3],[4,5,6]], and a second method that doubles. */
  private static Graph graph() {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value x = forward.input("x");
    Value weight = graph.parameter("layer.weight", 2, 3);
    forward.returns(forward.toFloat(forward.linear(forward.castAs(x, weight), weight, null)));
    Method twice = graph.method("twice");
    twice.returns(twice.multiply(twice.input("x"), 2));
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

  private LoadedNetwork load(Precision storage) throws Exception {
    Path archive = folder.resolve("net.pt");
    new ArchiveWriter(graph(), storage, Arithmetic.AS_STORED).write(archive, weights(storage));
    return LoadedNetwork.load(archive, DeviceSpec.CPU);
  }

  @ParameterizedTest
  @EnumSource(Precision.class)
  void anArchiveOfEachPrecisionComputes(Precision storage) throws Exception {
    try (LoadedNetwork network = load(storage)) {
      HostTensor.Floats y =
          network.call("forward", new HostTensor.Floats(new float[] {1, 0, -1}, 1, 3));
      assertThat(y.shape()).containsExactly(1, 2);
      assertThat(y.data()).containsExactly(-2, -2);
    }
  }

  @Test
  void anotherMethodIsCalledByName() throws Exception {
    try (LoadedNetwork network = load(Precision.FLOAT32)) {
      assertThat(network.call("twice", new HostTensor.Floats(new float[] {3, 4}, 2)).data())
          .containsExactly(6, 8);
    }
  }

  @Test
  void inputsThatDoNotFitAreAnErrorThatNamesTheNetwork() throws Exception {
    try (LoadedNetwork network = load(Precision.FLOAT32)) {
      assertThatThrownBy(() -> network.call("forward", new HostTensor.Floats(new float[4], 1, 4)))
          .isInstanceOf(EngineException.class)
          .isNotInstanceOf(DeviceMemoryException.class)
          .hasMessageContaining("net.pt on cpu");
    }
  }

  @Test
  void callsLeaveNoNativeTensorBehind() throws Exception {
    try (LoadedNetwork network = load(Precision.FLOAT32)) {
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
    assertThatThrownBy(() -> LoadedNetwork.load(file, DeviceSpec.CPU))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("broken.pt");
  }

  @Test
  void closingTwiceIsHarmless() throws Exception {
    LoadedNetwork network = load(Precision.FLOAT32);
    network.close();
    network.close();
    assertThatThrownBy(() -> network.call("twice", new HostTensor.Floats(new float[1], 1)))
        .isInstanceOf(RuntimeException.class);
  }

  @Test
  void aTensorWhoseShapeAndDataDisagreeIsRefused() {
    assertThatThrownBy(() -> new HostTensor.Floats(new float[5], 2, 3))
        .hasMessageContaining("[2, 3]")
        .hasMessageContaining("5");
  }

  @Test
  void unknownDevicesAreRefusedWithWhatIsKnown() {
    assertThatThrownBy(() -> DeviceSpec.parse("tpu")).hasMessageContaining("auto, cpu or gpu:N");
    assertThatThrownBy(() -> DeviceSpec.parse("gpu:9999")).hasMessageContaining("gpu:9999");
    assertThat(DeviceSpec.parse("cpu")).isEqualTo(DeviceSpec.CPU);
  }
}
