/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.torchscript.ArchiveWriter;
import io.github.flinkdiffusion.ops.torchscript.Convolutions;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorPlace;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Networks whose weights stay in the files that hold them. */
class MappedWeightsTest {
  @TempDir private Path folder;

  private static final HostTensor.Floats X = new HostTensor.Floats(new float[] {1, 10}, 1, 2);

  /** {@code (x w^T + bias) * factor}, where the factor has no dimensions. */
  private static Graph graph() {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value linear =
        forward.linear(
            forward.input("x", 2), graph.parameter("w", 2, 2), graph.parameter("bias", 2));
    forward.returns(forward.multiply(linear, graph.parameter("factor")));
    return graph;
  }

  private static TensorStore tensors(float first) {
    return HeapTensors.builder()
        .add("w", new float[] {first, 2, 3, 4}, 2, 2)
        .add("bias", new float[] {100, 200}, 2)
        .add("factor", new float[] {2})
        .build();
  }

  /** A source that maps what a store has in a file. */
  private static ParameterSource source(TensorStore store, DType dtype) {
    return new ParameterSource() {
      @Override
      public void write(String name, long[] shape, OutputStream out) throws IOException {
        store.writeTo(name, dtype, out);
      }

      @Override
      public Optional<TensorPlace> place(String name) {
        return store.place(name);
      }
    };
  }

  private static Network load(TensorStore store) {
    return new TorchEngine()
        .load(
            Program.of("net", graph(), Precision.FLOAT32, source(store, DType.F32)),
            DeviceSpec.CPU);
  }

  private Path model(float first) throws IOException {
    Path model = folder.resolve("model.safetensors");
    SafetensorsWriter.write(model, tensors(first));
    return model;
  }

  private static List<String> mappingsOf(Path file) throws IOException {
    Path maps = Path.of("/proc/self/maps");
    assumeThat(maps).exists();
    try (Stream<String> lines = Files.lines(maps)) {
      return lines.filter(line -> line.contains(file.toString()) && line.contains("rw-p")).toList();
    }
  }

  /** The mappings of weights that were converted into a file of the loader's own. */
  private static List<String> converted() throws IOException {
    Path maps = Path.of("/proc/self/maps");
    assumeThat(maps).exists();
    try (Stream<String> lines = Files.lines(maps)) {
      return lines.filter(line -> line.contains(".weights")).toList();
    }
  }

  @Test
  void aNetworkComputesOnTheFilesPagesAndClosingItGivesThemBack() throws Exception {
    Path model = model(1);
    try (TensorStore store = Safetensors.open(model)) {
      try (Network network = load(store)) {
        assertThat(network.call("forward", X).data()).containsExactly(242, 486);
        assertThat(mappingsOf(model)).hasSize(1);
      }
      assertThat(mappingsOf(model)).isEmpty();
    }
  }

  @Test
  void whatIsConvertedLeavesNoFile() throws Exception {
    List<String> before = converted();
    try (TensorStore store = tensors(1);
        Network network = load(store)) {
      assertThat(network.call("forward", X).data()).containsExactly(242, 486);
      // Other tests of this JVM may hold networks of their own.
      List<String> added = new ArrayList<>(converted());
      added.removeAll(before);
      assertThat(added).hasSize(1);
      assertThat(added.get(0)).endsWith("(deleted)");
    }
    assertThat(before).containsAll(converted());
  }

  @Test
  void aModelThatIsReplacedByARenameStaysAsItWasForThoseWhoHaveItLoaded() throws Exception {
    Path model = model(1);
    try (TensorStore store = Safetensors.open(model);
        Network network = load(store)) {
      Path other = folder.resolve("other.safetensors");
      SafetensorsWriter.write(other, tensors(7));
      Files.move(other, model, StandardCopyOption.REPLACE_EXISTING);
      assertThat(network.call("forward", X).data()).containsExactly(242, 486);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"grün und 画像", "a \"quote\" and \\", "🦊"})
  void aPathMayHaveAnyCharacters(String name) throws Exception {
    Path model = folder.resolve(name + ".safetensors");
    SafetensorsWriter.write(model, tensors(1));
    try (TensorStore store = Safetensors.open(model);
        Network network = load(store)) {
      assertThat(network.call("forward", X).data()).containsExactly(242, 486);
    }
  }

  /** As on a GPU, but for the device's name: {@code cpu:0} is copied to, {@code cpu} is not. */
  @Test
  void severalFilesAreMappedAndCopiedToADevice() throws Exception {
    Path one = folder.resolve("one.safetensors");
    Path two = folder.resolve("two.safetensors");
    SafetensorsWriter.write(one, tensors(1));
    SafetensorsWriter.write(two, tensors(1));
    try (TensorStore first = Safetensors.open(one);
        TensorStore second = Safetensors.open(two)) {
      Map<String, TensorPlace> places =
          Map.of(
              "w", first.place("w").orElseThrow(),
              "bias", second.place("bias").orElseThrow(),
              "factor", first.place("factor").orElseThrow());
      ArchiveWriter writer =
          ArchiveWriter.mapping(
              graph(), Precision.FLOAT32, Convolutions.LIBRARY, places::get, "cpu:0");
      assertThat(writer.source())
          .contains("torch.device(\"cpu:0\"), 6)")
          .doesNotContain(folder.toString());
      assertThat(writer.mappedFiles()).containsExactlyInAnyOrder(one, two);
      Path archive = folder.resolve("net.pt");
      writer.write(archive);
      try (TorchNetwork network =
          TorchNetwork.load(archive, DeviceSpec.CPU, writer.mappedFiles())) {
        assertThat(network.call("forward", X).data()).containsExactly(242, 486);
        assertThat(network.nativeTensors()).isZero();
      }
    }
  }

  @Test
  void aFileThatIsGoneIsNamed() throws Exception {
    Path model = model(1);
    try (TensorStore store = Safetensors.open(model)) {
      Files.delete(model);
      assertThatThrownBy(() -> load(store))
          .isInstanceOf(EngineException.class)
          .hasMessageContainingAll("net.pt", model.toString());
    }
  }
}
