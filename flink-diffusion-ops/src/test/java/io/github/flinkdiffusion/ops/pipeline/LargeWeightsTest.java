/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Weights of 24 GB in three shards, which are holes but for a few bytes at each end: mapped, so
 * that opening them takes neither their time nor their memory.
 */
class LargeWeightsTest {
  private static final int SHARDS = 3;
  private static final long FILLER = 8L << 30;
  private static final String PLAIN = "transformer/diffusion_pytorch_model.safetensors";

  @TempDir private Path temp;
  private Path index;

  @BeforeEach
  void writeShards() throws IOException {
    Files.createDirectories(temp.resolve("transformer"));
    Files.writeString(
        temp.resolve("model_index.json"),
        "{\"_class_name\": \"Some\", \"transformer\": [\"diffusers\", \"SomeModel\"]}");
    Files.writeString(temp.resolve("transformer/config.json"), "{}");
    index = temp.resolve(PLAIN + ".index.json");
    ObjectNode weights = new ObjectMapper().createObjectNode();
    for (int i = 0; i < SHARDS; i++) {
      shard(i, "w" + i);
      weights.put("filler" + i, shardName(i));
      weights.put("w" + i, shardName(i));
    }
    ObjectNode json = new ObjectMapper().createObjectNode();
    json.putObject("metadata").put("total_size", SHARDS * (FILLER + 16));
    json.set("weight_map", weights);
    Files.writeString(index, json.toString());
  }

  private static String shardName(int i) {
    return "diffusion_pytorch_model-%05d-of-%05d.safetensors".formatted(i + 1, SHARDS);
  }

  /** Bytes of nothing, and behind them a matrix [2, 2] whose elements are 1 + i. */
  private void shard(int i, String name) throws IOException {
    String header =
        """
        {"filler%d": {"dtype": "BF16", "shape": [2, %d], "data_offsets": [0, %d]},
         "%s": {"dtype": "F32", "shape": [2, 2], "data_offsets": [%d, %d]}}"""
            .formatted(i, FILLER / 4, FILLER, name, FILLER, FILLER + 16);
    header += " ".repeat(-header.length() & 7);
    try (RandomAccessFile file =
        new RandomAccessFile(temp.resolve("transformer").resolve(shardName(i)).toFile(), "rw")) {
      file.write(bytes(8).putLong(header.length()).array());
      file.writeBytes(header);
      file.seek(8 + header.length() + FILLER);
      float value = 1 + i;
      file.write(bytes(16).putFloat(value).putFloat(value).putFloat(value).putFloat(value).array());
    }
  }

  private static ByteBuffer bytes(int count) {
    return ByteBuffer.allocate(count).order(ByteOrder.LITTLE_ENDIAN);
  }

  private TensorStore open() {
    return ModelFolder.open(temp).component("transformer").open();
  }

  @Test
  void whatLiesBehindGigabytesIsRead() {
    try (TensorStore store = open()) {
      for (int i = 0; i < SHARDS; i++) {
        assertThat(store.floats("w" + i)).containsOnly(1 + i).hasSize(4);
        assertThat(store.place("w" + i).orElseThrow().offset()).isGreaterThan(FILLER);
        // More than one buffer can hold, and none of it read.
        List<ByteBuffer> parts = store.data("filler" + i);
        assertThat(parts.stream().mapToLong(ByteBuffer::remaining).sum()).isEqualTo(FILLER);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"pytorch", "onnxruntime"})
  void bothEnginesMapWhatLiesBehindGigabytes(String engine) {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value x = forward.input("x", 2);
    for (int i = 0; i < SHARDS; i++) {
      x = forward.linear(x, graph.parameter("w" + i, 2, 2), null);
    }
    forward.returns(forward.toFloat(x));
    NetworkLoader loader =
        new NetworkLoader(
            any -> Engines.standard().named(engine),
            DeviceSpec.CPU,
            Precision.FLOAT32,
            Optional.empty(),
            // It would read all of the holes.
            check -> {});
    try (TensorStore store = open();
        Network network = loader.load("net", graph, store)) {
      assertThat(network.call("forward", new HostTensor.Floats(new float[] {1, 0}, 1, 2)).data())
          .containsExactly(24, 24);
    }
  }

  @Test
  void anIndexThatDoesNotMatchItsShardsIsRefused() throws IOException {
    String good = Files.readString(index);

    Files.writeString(index, good.replaceFirst("\"w1\":", "\"w0\":"));
    refuses("Duplicate field 'w0'");

    Files.writeString(index, good.replaceFirst("00002-of-00003", "00004-of-00003"));
    refuses("shard 'diffusion_pytorch_model-00004-of-00003.safetensors' is missing");

    for (String escape : List.of("../x.safetensors", "/etc/passwd", "a\\\\\\\\b", ".hidden", "")) {
      Files.writeString(index, good.replaceFirst("diffusion_pytorch_model-00002[^\"]*", escape));
      refuses("expected the name of a file beside the index");
    }

    Files.writeString(index, good.replaceFirst("\"w1\"", "\"w7\""));
    refuses("does not hold tensor 'w7'");

    Files.writeString(index, good);
    try (RandomAccessFile file =
        new RandomAccessFile(temp.resolve("transformer").resolve(shardName(2)).toFile(), "rw")) {
      file.setLength(file.length() - 1);
    }
    refuses("is the download complete?");
  }

  private void refuses(String reason) {
    assertThatThrownBy(this::open)
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining(reason);
  }
}
