/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.RowWise;
import io.github.flinkdiffusion.ops.network.VQModel;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.TensorViews;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Each network, emitted from its config, gives what diffusers' gives for the same weights and
 * inputs.
 */
class NetworkParityTest {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models");
  private static final double TOLERANCE = 1e-4;
  private static final double HALF_TOLERANCE = 0.05;
  private static final String THREADS = "flinkdiffusion.onnxruntime.threads";

  private record NetworkCase(JsonNode network, JsonNode call) {
    @Override
    public String toString() {
      return network.get("name").asText() + ": " + call.get("name").asText();
    }
  }

  static Stream<NetworkCase> cases() throws IOException {
    List<NetworkCase> cases = new ArrayList<>();
    for (String manifest :
        List.of(
            "networks.json",
            "networks-family.json",
            "networks-blocks.json",
            "networks-control.json",
            "networks-joint.json",
            "networks-transformers.json",
            "networks-unidiffuser.json")) {
      for (JsonNode network :
          new ObjectMapper().readTree(MODELS.resolve(manifest).toFile()).get("networks")) {
        network.get("cases").forEach(call -> cases.add(new NetworkCase(network, call)));
      }
    }
    return cases.stream();
  }

  /** One case for each network and method. */
  static Stream<NetworkCase> methods() throws IOException {
    Set<String> seen = new HashSet<>();
    return cases().filter(c -> seen.add(c.network().get("name").asText() + " " + method(c.call())));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void givesTheReferencesOutput(NetworkCase testCase) {
    compare(
        testCase,
        "float32",
        new NetworkLoader(DeviceSpec.CPU, Precision.FLOAT32),
        (name, output, expected) ->
            assertThat(maxDifference(output, expected))
                .as(name)
                .isLessThanOrEqualTo(TOLERANCE * Math.max(1, maximum(expected))));
  }

  /** ONNX Runtime with two threads: every network and method whose rows allow it, of two rows. */
  @ParameterizedTest
  @MethodSource("methods")
  @Tag("names-its-engine")
  void givesItAlsoWhenEachThreadComputesRowsOfItsOwn(NetworkCase testCase) {
    String before = System.getProperty(THREADS);
    System.setProperty(THREADS, "2");
    try {
      compare(
          testCase,
          "float32, two threads",
          new NetworkLoader(
              graph -> Engines.standard().named(Engines.ONNX_RUNTIME),
              DeviceSpec.CPU,
              Precision.FLOAT32,
              Optional.empty(),
              Runnable::run),
          (name, output, expected) ->
              assertThat(maxDifference(output, expected))
                  .as(name)
                  .isLessThanOrEqualTo(TOLERANCE * Math.max(1, maximum(expected))));
    } finally {
      if (before == null) {
        System.clearProperty(THREADS);
      } else {
        System.setProperty(THREADS, before);
      }
    }
  }

  /** Else the test above would compare nothing new. */
  @Test
  void allButTheseComputeEachRowByItself() throws IOException {
    Set<String> together = new TreeSet<>();
    methods()
        .forEach(
            each -> {
              Config config = Config.read(MODELS.resolve(each.network().get("config").asText()));
              String of = each.network().get("class").asText();
              for (Method method : DiffusersNetwork.named(of).graph().apply(config).methods()) {
                if (!RowWise.is(method)) {
                  together.add(each.network().get("name").asText() + "." + method.name());
                }
              }
            });
    // The filters of K and FIR blocks take rows and channels together for planes of one channel;
    // quantising compares the vectors of all images at once.
    assertThat(together)
        .containsExactly(
            "networks-blocks/unet-k-mixed.forward",
            "networks-blocks/unet-k-upscaler.forward",
            "networks-blocks/unet2d-ncsnpp-options.forward",
            "networks-blocks/unet2d-ncsnpp.forward",
            "networks-blocks/unet2d-resnet-blocks.forward",
            "networks/vq-model.decode",
            "tiny-ldm-super-resolution/vqvae.decode");
  }

  /** Inputs of float32 meet weights of half precision; bfloat16 has eight bits. */
  @ParameterizedTest
  @MethodSource("methods")
  void givesAlmostTheReferencesOutputInBfloat16(NetworkCase testCase) {
    compare(
        testCase,
        "bfloat16",
        new NetworkLoader(DeviceSpec.CPU, Precision.BFLOAT16),
        (name, output, expected) ->
            assertThat(rootMeanSquareDifference(output, expected))
                .as(name)
                .isLessThanOrEqualTo(
                    HALF_TOLERANCE
                        * rootMeanSquareDifference(new float[expected.length], expected)));
  }

  @FunctionalInterface
  private interface Comparison {
    void check(String output, float[] actual, float[] expected);
  }

  /** The network of the last case: the next one's most often, and loading takes longest. */
  private record Loaded(JsonNode network, String as, Network of) {}

  private static @Nullable Loaded last;

  @AfterAll
  static void closeTheLast() {
    if (last != null) {
      last.of().close();
      last = null;
    }
  }

  private static Network load(JsonNode network, String as, NetworkLoader loader) {
    if (last == null || !last.as().equals(as) || last.network() != network) {
      closeTheLast();
      Config config = Config.read(MODELS.resolve(network.get("config").asText()));
      Path file = MODELS.resolve(network.get("weights").asText());
      try (TensorStore weights =
          TensorViews.withLanguageModelNames(
              TensorViews.withTextModelPrefix(
                  TensorViews.withCurrentAttentionNames(Safetensors.open(file))))) {
        DiffusersNetwork reference = DiffusersNetwork.named(network.get("class").asText());
        Graph graph = reference.graph().apply(config);
        last = new Loaded(network, as, loader.load("network", graph, weights));
      }
    }
    return last.of();
  }

  private static void compare(
      NetworkCase testCase, String as, NetworkLoader loader, Comparison comparison) {
    JsonNode network = testCase.network();
    JsonNode call = testCase.call();
    DiffusersNetwork reference = DiffusersNetwork.named(network.get("class").asText());
    try (TensorStore golden = Safetensors.open(MODELS.resolve(network.get("golden").asText()))) {
      Network loaded = load(network, as, loader);
      JsonNode inputs = call.get("inputs");
      HostTensor[] arguments =
          reference.inputs().stream()
              .filter(inputs::has)
              .map(
                  name ->
                      name.equals("timestep")
                          ? timesteps(golden, inputs.get(name).asText(), rows(golden, inputs))
                          : tensor(golden, inputs.get(name).asText()))
              .toArray(HostTensor[]::new);
      assertThat(arguments).hasSize(inputs.size());
      expected(golden, call.get("outputs"))
          .forEach(
              (name, expected) -> {
                String method = reference.methods().getOrDefault(name, method(call));
                HostTensor.Floats output = loaded.call(method, arguments);
                assertThat(output.shape()).as(name).isEqualTo(expected.shape());
                comparison.check(name, output.data(), expected.data());
              });
    }
  }

  private static String method(JsonNode call) {
    return call.path("arguments").path("force_not_quantize").asBoolean()
        ? VQModel.DECODE_UNQUANTIZED
        : call.get("method").asText();
  }

  /**
   * The outputs by name; an encoder's mean and log variance are one tensor of twice the channels.
   */
  private static Map<String, HostTensor.Floats> expected(TensorStore golden, JsonNode outputs) {
    Map<String, HostTensor.Floats> expected = new LinkedHashMap<>();
    outputs
        .fields()
        .forEachRemaining(
            output -> {
              String name = output.getValue().asText();
              expected.put(
                  output.getKey(),
                  new HostTensor.Floats(golden.floats(name), golden.info(name).shape()));
            });
    HostTensor.Floats logVariance = expected.remove("logvar");
    if (logVariance != null) {
      expected.put("moments", moments(expected.remove("mean"), logVariance));
    }
    return expected;
  }

  private static HostTensor.Floats moments(HostTensor.Floats mean, HostTensor.Floats logVariance) {
    long[] shape = mean.shape().clone();
    int one = mean.data().length / (int) shape[0];
    float[] moments = new float[2 * mean.data().length];
    for (int n = 0; n < shape[0]; n++) {
      System.arraycopy(mean.data(), n * one, moments, 2 * n * one, one);
      System.arraycopy(logVariance.data(), n * one, moments, (2 * n + 1) * one, one);
    }
    shape[1] *= 2;
    return new HostTensor.Floats(moments, shape);
  }

  private static int rows(TensorStore golden, JsonNode inputs) {
    String first = inputs.has("sample") ? "sample" : "hidden_states";
    return (int) golden.info(inputs.get(first).asText()).shape()[0];
  }

  private static HostTensor tensor(TensorStore store, String name) {
    long[] shape = store.info(name).shape();
    if (store.info(name).dtype().isFloating()) {
      return new HostTensor.Floats(store.floats(name), shape);
    }
    return new HostTensor.Longs(store.longs(name), shape);
  }

  /** A timestep for each row; the reference takes one number for all rows, too, and integers. */
  private static HostTensor timesteps(TensorStore store, String name, int rows) {
    float[] values =
        store.info(name).dtype().isFloating() ? store.floats(name) : floats(store.longs(name));
    float[] each = new float[rows];
    for (int i = 0; i < rows; i++) {
      each[i] = values[values.length == 1 ? 0 : i];
    }
    return new HostTensor.Floats(each, rows);
  }

  private static float[] floats(long[] values) {
    float[] floats = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      floats[i] = values[i];
    }
    return floats;
  }

  private static double maximum(float[] values) {
    double maximum = 0;
    for (float value : values) {
      maximum = Math.max(maximum, Math.abs(value));
    }
    return maximum;
  }

  private static double rootMeanSquareDifference(float[] actual, float[] expected) {
    assertThat(actual).hasSameSizeAs(expected);
    double sum = 0;
    for (int i = 0; i < actual.length; i++) {
      double difference = actual[i] - expected[i];
      sum += difference * difference;
    }
    return Math.sqrt(sum / actual.length);
  }

  private static double maxDifference(float[] actual, float[] expected) {
    assertThat(actual).hasSameSizeAs(expected);
    double maximum = 0;
    for (int i = 0; i < actual.length; i++) {
      assertThat(Float.isFinite(actual[i]))
          .as("element %d of %s", i, Arrays.toString(Arrays.copyOf(actual, 4)))
          .isTrue();
      maximum = Math.max(maximum, Math.abs(actual[i] - expected[i]));
    }
    return maximum;
  }
}
