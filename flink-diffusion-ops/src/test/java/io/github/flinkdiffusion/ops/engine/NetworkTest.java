/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.weights.DType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What every engine's networks do. */
class NetworkTest {
  private static Engine engine(String name) {
    return Engines.standard().named(name);
  }

  /** y = W x with W = [[1,2,3],[4,5,6]], and a second method that doubles. */
  private static Program program() {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value weight = graph.parameter("layer.weight", 2, 3);
    forward.returns(forward.linear(forward.input("x", 2), weight, null));
    Method twice = graph.method("twice");
    twice.returns(twice.multiply(twice.input("x", 1), 2));
    return Program.of(
        "net", graph, Precision.FLOAT32, (n, s, out) -> out.write(floats(1, 2, 3, 4, 5, 6)));
  }

  private static byte[] floats(float... values) {
    ByteBuffer bytes =
        ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    return bytes.array();
  }

  private static Network load(String engine) {
    return engine(engine).load(program(), DeviceSpec.CPU);
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.PYTORCH, Engines.ONNX_RUNTIME})
  void eachMethodIsCalledByItsName(String engine) {
    try (Network network = load(engine)) {
      HostTensor.Floats y =
          network.call("forward", new HostTensor.Floats(new float[] {1, 0, -1}, 1, 3));
      assertThat(y.shape()).containsExactly(1, 2);
      assertThat(y.data()).containsExactly(-2, -2);
      assertThat(network.call("twice", new HostTensor.Floats(new float[] {3, 4}, 2)).data())
          .containsExactly(6, 8);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.PYTORCH, Engines.ONNX_RUNTIME})
  void shapesMayDifferFromCallToCall(String engine) {
    try (Network network = load(engine)) {
      for (int rows : new int[] {1, 5, 2, 64, 1}) {
        HostTensor.Floats y =
            network.call("forward", new HostTensor.Floats(new float[3 * rows], rows, 3));
        assertThat(y.shape()).containsExactly(rows, 2);
        assertThat(y.data()).containsOnly(0f);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.PYTORCH, Engines.ONNX_RUNTIME})
  void aResultIsTheCallersOwnWhateverIsCalledNext(String engine) {
    try (Network network = load(engine)) {
      List<HostTensor.Floats> results = new ArrayList<>();
      for (int rows : new int[] {1, 1, 1, 4, 4, 1, 4}) {
        float[] x = new float[3 * rows];
        // Each call has numbers of its own: row r of call c begins with 10 c + r.
        for (int row = 0; row < rows; row++) {
          x[3 * row] = 10 * results.size() + row;
        }
        results.add(network.call("forward", new HostTensor.Floats(x, rows, 3)));
      }
      for (int call = 0; call < results.size(); call++) {
        float[] y = results.get(call).data();
        for (int row = 0; row < y.length / 2; row++) {
          float first = 10 * call + row;
          assertThat(new float[] {y[2 * row], y[2 * row + 1]}).containsExactly(first, 4 * first);
        }
      }
    }
  }

  /**
   * ONNX Runtime with two threads that wait asleep, as in the build: all of them make the first
   * call, one alone the next ones, which are seen to be small.
   */
  @Test
  void aSmallCallHasTheSameResultWhicheverThreadsMakeIt() {
    Graph graph = new Graph();
    Value weight = graph.parameter("weight", DType.F32, 16, 16, 3, 3);
    Value scale = graph.parameter("scale", DType.F32, 16);
    Method method = graph.method("forward");
    Value x = method.input("x", 4);
    Value normal = method.silu(method.groupNorm(x, 4, scale, scale, 1e-5));
    method.returns(method.add(x, method.conv2d(normal, weight, scale, 1, 1)));
    Random random = new Random(7);
    Program program =
        Program.of(
            "small",
            graph,
            Precision.FLOAT32,
            (name, shape, out) -> out.write(floats(random(random, (int) Graph.elements(shape)))));
    HostTensor image = new HostTensor.Floats(random(random, 16 * 64), 1, 16, 8, 8);
    String threads = "flinkdiffusion.onnxruntime.threads";
    String before = System.getProperty(threads);
    System.setProperty(threads, "2");
    try (Network network = engine(Engines.ONNX_RUNTIME).load(program, DeviceSpec.CPU)) {
      float[] first = network.call("forward", image).data();
      for (int call = 0; call < 3; call++) {
        assertThat(network.call("forward", image).data()).isEqualTo(first);
      }
    } finally {
      if (before == null) {
        System.clearProperty(threads);
      } else {
        System.setProperty(threads, before);
      }
    }
  }

  /** Fused and not: what is multiplied in between is not seen as one operation. */
  @ParameterizedTest
  @ValueSource(strings = {Engines.PYTORCH, Engines.ONNX_RUNTIME})
  void theConvolutionOfAnUpsampledImageIsTheSameInOneOperation(String engine) {
    Graph graph = new Graph();
    Value weight = graph.parameter("weight", DType.F32, 4, 3, 3, 3);
    Value bias = graph.parameter("bias", DType.F32, 4);
    for (boolean apart : new boolean[] {false, true}) {
      for (boolean as : new boolean[] {false, true}) {
        Method method = graph.method((as ? "like" : "twice") + (apart ? "Apart" : ""));
        Value x = method.input("x", 4);
        Value like = method.input("like", 4);
        Value large = as ? method.upsampleNearestAs(x, like) : method.upsampleNearest(x, 2);
        Value image = apart ? method.multiply(large, 1) : large;
        // The second reads the size of something else, so that it is used in both methods.
        Value shown = method.conv2d(image, weight, bias, 1, 1);
        method.returns(as ? shown : method.concatenate(1, shown, like));
      }
    }
    Random random = new Random(7);
    Program program =
        Program.of(
            "upsampled",
            graph,
            Precision.FLOAT32,
            (name, shape, out) -> out.write(floats(random(random, (int) Graph.elements(shape)))));
    try (Network network = engine(engine).load(program, DeviceSpec.CPU)) {
      for (int[] size :
          new int[][] {{16, 16, 32, 32}, {24, 20, 48, 40}, {3, 5, 6, 10}, {16, 17, 31, 33}}) {
        int low = size[0] * size[1];
        HostTensor x = new HostTensor.Floats(random(random, 2 * 3 * low), 2, 3, size[0], size[1]);
        for (String name : List.of("like", "twice")) {
          int height = name.equals("like") ? size[2] : 2 * size[0];
          int width = name.equals("like") ? size[3] : 2 * size[1];
          HostTensor like =
              new HostTensor.Floats(random(random, 2 * height * width), 2, 1, height, width);
          HostTensor.Floats fused = network.call(name, x, like);
          HostTensor.Floats apart = network.call(name + "Apart", x, like);
          assertThat(fused.shape()).isEqualTo(apart.shape());
          assertThat(fused.data())
              .usingComparatorWithPrecision(2e-5f)
              .containsExactly(apart.data());
        }
      }
    }
  }

  private static float[] random(Random random, int elements) {
    float[] values = new float[elements];
    for (int i = 0; i < elements; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.PYTORCH, Engines.ONNX_RUNTIME})
  void aParameterOfItsOwnTypeIsKeptInItAndComputedWithAfterACast(String engine) {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value scale = graph.parameter("scale", DType.F32, 1);
    Value weight =
        forward.multiply(forward.castAs(graph.parameter("weight", DType.I8, 1, 3), scale), scale);
    forward.returns(forward.linear(forward.input("x", 2), weight, null));
    Program program =
        Program.of(
            "quantised",
            graph,
            Precision.FLOAT32,
            (name, shape, out) ->
                out.write(name.equals("scale") ? floats(0.5f) : new byte[] {-128, 2, 127}));
    try (Network network = engine(engine).load(program, DeviceSpec.CPU)) {
      assertThat(
              network.call("forward", new HostTensor.Floats(new float[] {1, 10, 100}, 1, 3)).data())
          .containsExactly(-64 + 10 + 6350);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.PYTORCH, Engines.ONNX_RUNTIME})
  void inputsThatDoNotFitAreAnErrorThatNamesTheNetwork(String engine) {
    try (Network network = load(engine)) {
      assertThatThrownBy(() -> network.call("forward", new HostTensor.Floats(new float[4], 1, 4)))
          .isInstanceOf(EngineException.class)
          .isNotInstanceOf(DeviceMemoryException.class)
          .hasMessageContainingAll("net", "cpu");
      assertThat(network.call("forward", new HostTensor.Floats(new float[3], 1, 3)).data())
          .containsExactly(0, 0);
    }
  }

  private static Program tenfoldAndTwice() {
    Graph pair = new Graph();
    Method both = pair.method("both");
    Value x = both.input("x", 2);
    both.returns(both.multiply(x, 10), both.add(x, x));
    return Program.of("pair", pair, Precision.FLOAT32, (name, shape, out) -> {});
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.PYTORCH, Engines.ONNX_RUNTIME})
  void whatStaysOnTheDeviceIsAnotherNetworksInput(String engine) {
    try (Network second = load(engine)) {
      List<DeviceTensor> rows;
      int before = engine(engine).nativeTensors();
      try (Network first = engine(engine).load(tenfoldAndTwice(), DeviceSpec.CPU)) {
        Network.Kept kept =
            first.callKeepingRows("both", new HostTensor.Floats(new float[] {1, 3, 2}, 1, 3));
        rows = kept.rows();
        assertThat(kept.result().data()).containsExactly(10, 30, 20);
        assertThat(rows).hasSize(1);
        assertThat(rows.get(0).shape()).containsExactly(1, 3);
        for (int i = 0; i < 2; i++) {
          assertThat(second.call("forward", rows.get(0)).data()).containsExactly(26, 62);
        }
        assertThat(((HostTensor.Floats) rows.get(0).toHost()).data()).containsExactly(2, 6, 4);
        DeviceTensor closed =
            first.callKeepingRows("both", new HostTensor.Floats(new float[3], 1, 3)).rows().get(0);
        closed.close();
        closed.close();
        assertThatThrownBy(closed::toHost).isInstanceOf(EngineException.class);
        assertThatThrownBy(() -> second.callKeepingRows("twice", rows.get(0)))
            .isInstanceOf(EngineException.class)
            .hasMessageContaining("no second result");
      }
      assertThatThrownBy(() -> second.call("twice", rows.get(0)))
          .isInstanceOf(EngineException.class)
          .hasMessageContaining("closed");
      assertThat(engine(engine).nativeTensors()).isLessThanOrEqualTo(before);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.PYTORCH, Engines.ONNX_RUNTIME})
  void rowsOfDifferentCallsShareOneInAnyOrder(String engine) {
    try (Network network = engine(engine).load(tenfoldAndTwice(), DeviceSpec.CPU)) {
      int before = engine(engine).nativeTensors();
      List<DeviceTensor> three =
          network
              .callKeepingRows("both", new HostTensor.Floats(new float[] {1, 2, 3}, 3, 1))
              .rows();
      List<DeviceTensor> two =
          network.callKeepingRows("both", new HostTensor.Floats(new float[] {4, 5}, 2, 1)).rows();
      three.get(1).close();
      List<DeviceTensor> mixed =
          List.of(two.get(1), three.get(2), three.get(0), two.get(0), two.get(1));
      Network.Kept kept = network.callKeepingRows("both", new StackedTensor(mixed));
      assertThat(kept.result().data()).containsExactly(100, 60, 20, 80, 100);
      assertThat(kept.result().shape()).containsExactly(5, 1);
      assertThat(network.call("both", new StackedTensor(kept.rows())).data())
          .containsExactly(200, 120, 40, 160, 200);
      List.of(three, two, kept.rows()).forEach(rows -> rows.forEach(DeviceTensor::close));
      assertThat(engine(engine).nativeTensors()).isLessThanOrEqualTo(before);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.PYTORCH, Engines.ONNX_RUNTIME})
  void aTensorOfAnotherEngineIsRefused(String engine) {
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
    try (Network network = load(engine)) {
      assertThatThrownBy(() -> network.call("twice", strange))
          .isInstanceOf(EngineException.class)
          .hasMessageContaining("another engine");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.PYTORCH, Engines.ONNX_RUNTIME})
  void closingTwiceIsHarmlessAndCallsFailAfterwards(String engine) {
    Network network = load(engine);
    network.close();
    network.close();
    assertThatThrownBy(() -> network.call("twice", new HostTensor.Floats(new float[1], 1)))
        .isInstanceOf(RuntimeException.class);
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.PYTORCH, Engines.ONNX_RUNTIME})
  void unknownDevicesAreRefusedWithWhatIsKnown(String name) {
    Engine engine = engine(name);
    assertThat(engine.name()).isEqualTo(name);
    assertThatThrownBy(() -> engine.device("tpu")).hasMessageContaining("auto, cpu or gpu:N");
    assertThatThrownBy(() -> engine.device("gpu:9999"))
        .hasMessageContainingAll("gpu:9999", engine.version());
    assertThat(engine.device("cpu")).isEqualTo(DeviceSpec.CPU);
  }

  @Test
  void aTensorWhoseShapeAndDataDisagreeIsRefused() {
    assertThatThrownBy(() -> new HostTensor.Floats(new float[5], 2, 3))
        .hasMessageContaining("[2, 3]")
        .hasMessageContaining("5");
  }

  @Test
  void halfPrecisionOnTheCpuIsRefusedByOnnxRuntimeWithWhatToDo() {
    Program half = Program.of("net", program().graph(), Precision.BFLOAT16, program().weights());
    assertThatThrownBy(() -> engine(Engines.ONNX_RUNTIME).load(half, DeviceSpec.CPU))
        .isInstanceOf(UnusableEngineException.class)
        .hasMessageContainingAll(
            "net", "BFLOAT16", "diffusion.model.precision", "diffusion.engine");
  }
}
