/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NetworkLoaderTest {
  private static final int SIDE = 512;

  @TempDir private Path temp;

  /** A linear layer. */
  private static Graph graph() {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value weight = graph.parameter("w", SIDE, SIDE);
    Value x = forward.castAs(forward.input("x", 2), weight);
    forward.returns(forward.toFloat(forward.linear(x, weight, null)));
    return graph;
  }

  private Path weights(float value) {
    float[] diagonal = new float[SIDE * SIDE];
    for (int i = 0; i < SIDE; i++) {
      diagonal[i * SIDE + i] = value;
    }
    Path file = temp.resolve("model.safetensors");
    SafetensorsWriter.write(file, HeapTensors.builder().add("w", diagonal, SIDE, SIDE).build());
    return file;
  }

  private float answer(Optional<Path> archives) {
    float[] ones = new float[SIDE];
    Arrays.fill(ones, 1);
    NetworkLoader loader =
        new NetworkLoader(
            graph -> Engines.standard().trainer(),
            DeviceSpec.CPU,
            Precision.BFLOAT16,
            archives,
            Runnable::run);
    try (TensorStore store = Safetensors.open(temp.resolve("model.safetensors"));
        Network network = loader.load("net", graph(), store)) {
      return network.call("forward", new HostTensor.Floats(ones, 1, SIDE)).data()[SIDE - 1];
    }
  }

  @Test
  void keptWeightsAnswerForTheirOwnModel() throws Exception {
    Path folder = temp.resolve("archives");
    Optional<Path> archives = Optional.of(folder);
    weights(2);
    assertThat(answer(archives)).isEqualTo(2);
    assertThat(answer(archives)).isEqualTo(2);
    weights(3);
    assertThat(answer(archives)).isEqualTo(3);
    weights(2);
    assertThat(answer(archives)).isEqualTo(2);
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files).hasSize(2);
    }
  }

  @Test
  void weightsThatBecomeShorterWhileTheyAreLoadedAreAnErrorAndNoCrash() throws Exception {
    Path file = weights(1);
    NetworkLoader loader = new NetworkLoader(DeviceSpec.CPU, Precision.FLOAT32);
    try (TensorStore store = Safetensors.open(file)) {
      try (RandomAccessFile opened = new RandomAccessFile(file.toFile(), "rw")) {
        opened.setLength(100);
      }
      assertThatThrownBy(() -> loader.load("net", graph(), store))
          .isInstanceOf(WeightsException.class)
          .hasMessageContainingAll(file.toString(), "tensor w", "shorter");
    }
  }
}
