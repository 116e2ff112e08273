package io.github.flinkdiffusion.ops.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.engine.DeviceMemoryException;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.DeviceTensor;
import io.github.flinkdiffusion.ops.engine.Engine;
import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.torchscript.ArchiveWriter;
import io.github.flinkdiffusion.ops.weights.DType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
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

  @Test
  void anotherMethodIsCalledByName() throws Exception {
    try (TorchNetwork network = load(Precision.FLOAT32)) {
      assertThat(network.call("twice", new HostTensor.Floats(new float[] {3, 4}, 2)).data())
          .containsExactly(6, 8);
    }
  }

  @Test
  void anImageIsMirroredAtItsEdgesWithoutRepeatingThem() throws Exception {
    Graph mirroring = new Graph();
    Method forward = mirroring.method("forward");
    forward.returns(forward.padReflect(forward.input("x", 4), 2, 1, 0, 1));
    Path archive = folder.resolve("mirror.pt");
    new ArchiveWriter(mirroring, Precision.FLOAT32, Arithmetic.AS_STORED)
        .write(archive, weights(Precision.FLOAT32));
    try (TorchNetwork network = TorchNetwork.load(archive, DeviceSpec.CPU)) {
      HostTensor.Floats y =
          network.call(
              "forward", new HostTensor.Floats(new float[] {1, 2, 3, 4, 5, 6}, 1, 1, 2, 3));
      assertThat(y.shape()).containsExactly(1, 1, 3, 6);
      assertThat(y.data()).containsExactly(3, 2, 1, 2, 3, 2, 6, 5, 4, 5, 6, 5, 3, 2, 1, 2, 3, 2);
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
  void aParameterOfItsOwnTypeIsKeptInItAndComputedWithAfterACast() throws Exception {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value x = forward.input("x", 2);
    Value scale = graph.parameter("scale", DType.F32, 1);
    Value weight =
        forward.multiply(forward.castAs(graph.parameter("weight", DType.I8, 1, 3), scale), scale);
    forward.returns(forward.toFloat(forward.linear(x, weight, null)));
    Path archive = folder.resolve("quantised.pt");
    new ArchiveWriter(graph, Precision.BFLOAT16, Arithmetic.AS_STORED)
        .write(
            archive,
            (name, shape, out) ->
                out.write(
                    name.equals("scale")
                        ? ByteBuffer.allocate(4)
                            .order(ByteOrder.LITTLE_ENDIAN)
                            .putFloat(0.5f)
                            .array()
                        : new byte[] {-128, 2, 127}));
    try (TorchNetwork network = TorchNetwork.load(archive, DeviceSpec.CPU)) {
      assertThat(
              network.call("forward", new HostTensor.Floats(new float[] {1, 10, 100}, 1, 3)).data())
          .containsExactly(-64 + 10 + 6350);
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

  @Test
  void closingTwiceIsHarmless() throws Exception {
    TorchNetwork network = load(Precision.FLOAT32);
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
  void whatStaysOnTheDeviceIsAnotherNetworksInput() throws Exception {
    Graph pair = new Graph();
    Method both = pair.method("both");
    Value x = both.input("x", 2);
    both.returns(both.multiply(x, 10), both.argmax(x, 1));
    Program program = Program.of("pair", pair, Precision.FLOAT32, (name, shape, out) -> {});
    try (TorchNetwork second = load(Precision.FLOAT32)) {
      List<DeviceTensor> results;
      int before = new TorchEngine().nativeTensors();
      try (Network first = new TorchEngine().load(program, DeviceSpec.CPU)) {
        results = first.callOnDevice("both", new HostTensor.Floats(new float[] {1, 3, 2}, 1, 3));
        assertThat(results).hasSize(2);
        assertThat(results.get(0).shape()).containsExactly(1, 3);
        for (int i = 0; i < 2; i++) {
          assertThat(second.call("forward", results.get(0)).data()).containsExactly(130, 310);
        }
        HostTensor.Longs greatest = (HostTensor.Longs) results.get(1).toHost();
        assertThat(greatest.data()).containsExactly(1);
        results.get(1).close();
        results.get(1).close();
        assertThatThrownBy(() -> results.get(1).toHost()).isInstanceOf(EngineException.class);
      }
      assertThatThrownBy(() -> second.call("twice", results.get(0)))
          .isInstanceOf(EngineException.class)
          .hasMessageContaining("closed");
      assertThat(new TorchEngine().nativeTensors()).isLessThanOrEqualTo(before);
    }
  }

  @Test
  void aTensorOfAnotherEngineIsRefused() throws Exception {
    DeviceTensor strange =
        new DeviceTensor() {
          @Override
          public long[] shape() {
            return new long[] {1};
          }

          @Override
          public HostTensor toHost() {
            return new HostTensor.Floats(new float[1], 1);
          }

          @Override
          public void close() {}
        };
    try (TorchNetwork network = load(Precision.FLOAT32)) {
      assertThatThrownBy(() -> network.call("twice", strange))
          .isInstanceOf(EngineException.class)
          .hasMessageContaining("another engine");
    }
  }

  @Test
  void unknownDevicesAreRefusedWithWhatIsKnown() {
    Engine engine = Engines.standard();
    assertThat(engine.name()).isEqualTo("torch");
    assertThatThrownBy(() -> engine.device("tpu")).hasMessageContaining("auto, cpu or gpu:N");
    assertThatThrownBy(() -> engine.device("gpu:9999"))
        .hasMessageContainingAll("gpu:9999", engine.version());
    assertThat(engine.device("cpu")).isEqualTo(DeviceSpec.CPU);
  }
}
