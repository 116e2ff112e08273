/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.TensorPlace;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PlacedWeightsTest {
  @TempDir Path folder;

  private Path model;

  @BeforeEach
  void writeModel() throws IOException {
    model = Files.write(folder.resolve("unet.safetensors"), new byte[8192]);
  }

  /** Weights whose elements are all 1, 2, 3 ..., some of which a model's file holds. */
  private static final class Weights implements ParameterSource {
    private final Map<String, TensorPlace> inFile;
    private final AtomicInteger written = new AtomicInteger();

    Weights(Map<String, TensorPlace> inFile) {
      this.inFile = inFile;
    }

    @Override
    public void write(String name, long[] shape, OutputStream out) throws IOException {
      written.incrementAndGet();
      int count = (int) Graph.elements(shape);
      ByteBuffer bytes = ByteBuffer.allocate(count * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      for (int i = 1; i <= count; i++) {
        bytes.putFloat(i);
      }
      out.write(bytes.array());
    }

    @Override
    public Optional<TensorPlace> place(String name) {
      return Optional.ofNullable(inFile.get(name));
    }
  }

  private static Graph graph() {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    forward.returns(
        forward.linear(
            forward.input("x", 2), graph.parameter("weight", 3, 3), graph.parameter("bias", 3)));
    return graph;
  }

  private Program program(Weights weights, Optional<Path> kept) {
    return new Program("net", graph(), Precision.FLOAT32, weights, () -> "digest", kept);
  }

  private static float[] read(TensorPlace place, int count) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(count * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    try (FileChannel channel = FileChannel.open(place.file())) {
      channel.read(bytes, place.offset());
    }
    float[] floats = new float[count];
    bytes.flip().asFloatBuffer().get(floats);
    return floats;
  }

  @Test
  void whatTheModelHoldsInTheParametersTypeIsUsedFromThere() throws IOException {
    TensorPlace weight = new TensorPlace(model, 4096, DType.F32);
    Weights weights = new Weights(Map.of("weight", weight));
    try (PlacedWeights placed = PlacedWeights.of(program(weights, Optional.empty()))) {
      assertThat(placed.place("weight")).isEqualTo(weight);
      TensorPlace bias = placed.place("bias");
      assertThat(bias.file()).isNotEqualTo(model);
      assertThat(read(bias, 3)).containsExactly(1, 2, 3);
    }
    assertThat(weights.written).hasValue(1);
  }

  @Test
  void whatIsOfAnotherTypeOrNotAtAMultipleOfItsSizeIsConverted() throws IOException {
    Weights weights =
        new Weights(
            Map.of(
                "weight", new TensorPlace(model, 4096, DType.F16),
                "bias", new TensorPlace(model, 4098, DType.F32)));
    try (PlacedWeights placed = PlacedWeights.of(program(weights, Optional.empty()))) {
      assertThat(read(placed.place("weight"), 9)).containsExactly(1, 2, 3, 4, 5, 6, 7, 8, 9);
      assertThat(read(placed.place("bias"), 3)).containsExactly(1, 2, 3);
      assertThat(placed.place("weight").offset() % ConvertedFile.ALIGNMENT).isZero();
      assertThat(placed.place("bias").offset() % ConvertedFile.ALIGNMENT).isZero();
    }
  }

  @Test
  void whatIsNotKeptIsDeletedWhenItIsClosed() {
    PlacedWeights placed = PlacedWeights.of(program(new Weights(Map.of()), Optional.empty()));
    Path temporary = placed.place("weight").file();
    assertThat(temporary).exists();
    placed.close();
    assertThat(temporary).doesNotExist();
  }

  @Test
  void aKeptFileIsWrittenOnceAndWhatIsLeftOfAKilledWriterDoesNotCount() throws IOException {
    Weights weights = new Weights(Map.of());
    Path kept = folder.resolve("kept");
    Path first;
    try (PlacedWeights placed = PlacedWeights.of(program(weights, Optional.of(kept)))) {
      first = placed.place("weight").file();
    }
    assertThat(first).exists();
    try (PlacedWeights placed = PlacedWeights.of(program(weights, Optional.of(kept)))) {
      assertThat(placed.place("weight").file()).isEqualTo(first);
    }
    assertThat(weights.written).hasValue(2);
    Files.write(first, new byte[10]);
    try (PlacedWeights placed = PlacedWeights.of(program(weights, Optional.of(kept)))) {
      assertThat(read(placed.place("bias"), 3)).containsExactly(1, 2, 3);
    }
    assertThat(weights.written).hasValue(4);
    try (Stream<Path> files = Files.list(kept)) {
      assertThat(files).containsExactly(first);
    }
  }

  @Test
  void otherWeightsAreAnotherFile() {
    Weights weights = new Weights(Map.of());
    Program one = program(weights, Optional.of(folder));
    Program two =
        new Program(
            "net", graph(), Precision.FLOAT32, weights, () -> "another", Optional.of(folder));
    assertThat(
            Stream.of(one, two)
                .map(program -> PlacedWeights.of(program).place("weight").file())
                .distinct())
        .hasSize(2);
  }

  @Test
  void aSourceThatGivesTooLittleIsNamed() {
    ParameterSource empty = (name, shape, out) -> out.write(new byte[4]);
    Program program = Program.of("net", graph(), Precision.FLOAT32, empty);
    assertThatThrownBy(() -> PlacedWeights.of(program))
        .isInstanceOf(EngineException.class)
        .hasMessageContainingAll("weight", "net", "4 bytes", "36");
  }
}
