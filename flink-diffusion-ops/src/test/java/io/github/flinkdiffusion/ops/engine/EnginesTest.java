/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.fakes.ToyEngine;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Enumeration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class EnginesTest {
  private static final Graph ATTENDING = attending();

  private static final String TORCH = "io.github.flinkdiffusion.ops.torch.TorchEngine";
  private static final String ONNX_RUNTIME =
      "io.github.flinkdiffusion.ops.onnxruntime.OnnxRuntimeEngine";

  @TempDir private Path folder;

  /** This class loader's classes, but other services: those that the folder names. */
  private ClassLoader with(String... services) throws IOException {
    Path file = folder.resolve("META-INF/services").resolve(Engine.class.getName());
    Files.createDirectories(file.getParent());
    Files.writeString(file, String.join("\n", services));
    return new URLClassLoader(new URL[] {folder.toUri().toURL()}, getClass().getClassLoader()) {
      @Override
      public Enumeration<URL> getResources(String name) throws IOException {
        return findResources(name);
      }
    };
  }

  @Test
  void anEngineOfTheClassPathRunsAGraph() throws Exception {
    Engine toy = Engines.of(with(ToyEngine.class.getName())).named("toy");
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value x = forward.input("x", 1);
    Value sum = forward.add(x, graph.parameter("bias", 2));
    forward.returns(sum, forward.multiply(sum, 2));
    Program program =
        Program.of(
            "net",
            graph,
            Precision.FLOAT32,
            (name, shape, out) ->
                out.write(
                    ByteBuffer.allocate(8)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putFloat(10)
                        .putFloat(20)
                        .array()));
    try (Network network = toy.load(program, toy.device("auto"))) {
      HostTensor.Floats input = new HostTensor.Floats(new float[] {1, 2}, 2);
      assertThat(network.call("forward", input).data()).containsExactly(11, 22);
      List<DeviceTensor> rows = network.callKeepingRows("forward", input).rows();
      assertThat(network.call("forward", new StackedTensor(rows)).data()).containsExactly(32, 64);
    }
    assertThat(toy.device("gpu:0")).isEqualTo(new DeviceSpec(0));
    assertThatThrownBy(() -> toy.device("gpu:1"))
        .isInstanceOf(EngineException.class)
        .hasMessageContainingAll("gpu:1", "1 GPU", "toy 1");
  }

  @Test
  void aClassPathWithoutAnEngineIsToldWhatToAdd() throws Exception {
    Engines none = Engines.of(with());
    assertThatThrownBy(() -> none.choose("auto", DeviceSpec.CPU, Precision.FLOAT32, ATTENDING))
        .isInstanceOf(EngineException.class)
        .hasMessageContainingAll("No engine", "add the jar", "META-INF/services");
    assertThatThrownBy(() -> none.named("pytorch")).hasMessageContainingAll("'pytorch'", "none");
  }

  @Test
  void ofSeveralEnginesOneIsTakenByName() throws Exception {
    Engines two = Engines.of(with(TORCH, ToyEngine.class.getName()));
    assertThat(two.choose("toy", DeviceSpec.CPU, Precision.FLOAT32, ATTENDING).version())
        .isEqualTo("toy 1");
    assertThatThrownBy(() -> two.named("onnx")).hasMessageContainingAll("'onnx'", "pytorch, toy");
  }

  @Test
  void aDeviceIsTheNamedEnginesOwn() throws Exception {
    Engines two = Engines.of(with(TORCH, ToyEngine.class.getName()));
    assertThat(two.device("toy", "gpu:0")).isEqualTo(new DeviceSpec(0));
    assertThatThrownBy(() -> two.device("gpu:9"))
        .isInstanceOf(EngineException.class)
        .hasMessageContainingAll("gpu:9", "libtorch");
  }

  @ParameterizedTest
  @CsvSource({
    "-1, FLOAT32, true, onnxruntime",
    "-1, FLOAT32, false, pytorch",
    "-1, FLOAT16, true, pytorch",
    "-1, BFLOAT16, true, pytorch",
    "0, FLOAT32, true, pytorch",
    "0, FLOAT16, true, pytorch",
    "1, BFLOAT16, false, pytorch"
  })
  void autoGoesByDevicePrecisionAndAttention(
      int gpu, Precision precision, boolean attends, String expected) throws Exception {
    Engines both = Engines.of(with(ToyEngine.class.getName(), TORCH, ONNX_RUNTIME));
    Graph graph = attends ? ATTENDING : new Graph();
    assertThat(both.choose("auto", new DeviceSpec(gpu), precision, graph).name())
        .isEqualTo(expected);
  }

  @ParameterizedTest
  @EnumSource(Precision.class)
  void autoTakesTheOnlyEngineThereIs(Precision precision) throws Exception {
    for (String only : List.of(TORCH, ONNX_RUNTIME, ToyEngine.class.getName())) {
      Engine engine = Engines.of(with(only)).choose("auto", DeviceSpec.CPU, precision, ATTENDING);
      assertThat(engine.getClass().getName()).isEqualTo(only);
    }
  }

  @Test
  void anEngineOfAnotherClassLoadersInterfaceDoesNotCount() throws Exception {
    // As a service file of lib/ names it to a job that brings the project itself.
    Engines found = Engines.of(with(Object.class.getName(), ToyEngine.class.getName()));
    assertThat(found.named("toy").version()).isEqualTo("toy 1");
  }

  @Test
  void anEngineThatCannotBeMadeIsNamed() throws Exception {
    ClassLoader loader = with("org.example.Missing");
    assertThatThrownBy(() -> Engines.of(loader))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("org.example.Missing");
  }

  private static Graph attending() {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value x = forward.input("x", 4);
    forward.returns(forward.silu(forward.attention(x, x, x, false)));
    return graph;
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "io.github.flinkdiffusion.ops.torch.TorchEngine",
        "io.github.flinkdiffusion.ops.onnxruntime.OnnxRuntimeEngine"
      })
  void anEngineCanBeMadeWithoutItsLibraryAndSaysSo(String engine) throws Exception {
    Class<?> alone = new WithoutLibraries().loadClass(engine);

    Object made = alone.getConstructor().newInstance();

    assertThat(alone.getMethod("isUsable").invoke(made)).isEqualTo(false);
  }

  /** Has this project's classes, and none of the libraries that its engines call. */
  private static final class WithoutLibraries extends ClassLoader {
    WithoutLibraries() {
      super(EnginesTest.class.getClassLoader());
    }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
      if (name.startsWith("ai.")) {
        throw new ClassNotFoundException(name);
      }
      if (!name.startsWith("io.github.flinkdiffusion.")) {
        return super.loadClass(name, resolve);
      }
      Class<?> loaded = findLoadedClass(name);
      return loaded != null ? loaded : define(name);
    }

    private Class<?> define(String name) throws ClassNotFoundException {
      try (InputStream in = getParent().getResourceAsStream(name.replace('.', '/') + ".class")) {
        byte[] code = in.readAllBytes();
        return defineClass(name, code, 0, code.length);
      } catch (IOException e) {
        throw new ClassNotFoundException(name, e);
      }
    }

    @Override
    public URL getResource(String name) {
      return name.startsWith("ai/") ? null : super.getResource(name);
    }
  }
}
