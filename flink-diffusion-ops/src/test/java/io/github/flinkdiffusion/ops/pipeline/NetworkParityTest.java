package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.LoadedNetwork;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.torchscript.Graph;
import io.github.flinkdiffusion.ops.torchscript.StorageType;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Each network, emitted from its config, gives what diffusers' gives for the same weights and
 * inputs.
 */
class NetworkParityTest {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models");
  private static final double TOLERANCE = 1e-4;

  /** A diffusers class: how its graph is made, and the order of its inputs. */
  private record Reference(GraphMaker graph, List<String> inputs) {}

  @FunctionalInterface
  private interface GraphMaker {
    Graph make(Config config, JsonNode golden);
  }

  private static final Map<String, Reference> CLASSES =
      Map.of(
          "CLIPTextModel",
          new Reference(
              (config, golden) -> new ClipText(ClipTextConfig.from(config)).graph(77),
              List.of("input_ids")),
          "UNet2DConditionModel",
          new Reference(
              (config, golden) -> new UNet2DCondition(UNet2DConditionConfig.from(config)).graph(),
              List.of("sample", "timestep", "encoder_hidden_states")),
          "AutoencoderKL",
          new Reference(
              (config, golden) -> new AutoencoderKL(AutoencoderKLConfig.from(config)).graph(),
              List.of("x", "z")));

  private record NetworkCase(JsonNode network, JsonNode call) {
    @Override
    public String toString() {
      return network.get("name").asText() + ": " + call.get("name").asText();
    }
  }

  static Stream<NetworkCase> cases() throws IOException {
    List<NetworkCase> cases = new ArrayList<>();
    for (JsonNode network :
        new ObjectMapper().readTree(MODELS.resolve("networks.json").toFile()).get("networks")) {
      network.get("cases").forEach(call -> cases.add(new NetworkCase(network, call)));
    }
    return cases.stream();
  }

  @ParameterizedTest
  @MethodSource("cases")
  void givesTheReferencesOutput(NetworkCase testCase) {
    JsonNode network = testCase.network();
    JsonNode call = testCase.call();
    Reference reference = CLASSES.get(network.get("class").asText());
    Config config = Config.read(MODELS.resolve(network.get("config").asText()));
    try (TensorStore weights = Safetensors.open(MODELS.resolve(network.get("weights").asText()));
        TensorStore golden = Safetensors.open(MODELS.resolve(network.get("golden").asText()));
        LoadedNetwork loaded =
            new NetworkLoader(DeviceSpec.CPU, StorageType.FLOAT32)
                .load("network", reference.graph().make(config, call), weights)) {
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
      HostTensor.Floats output = loaded.call(call.get("method").asText(), arguments);
      HostTensor.Floats expected = expected(golden, call.get("outputs"));
      assertThat(output.shape()).isEqualTo(expected.shape());
      assertThat(maxDifference(output.data(), expected.data()))
          .isLessThanOrEqualTo(TOLERANCE * Math.max(1, maximum(expected.data())));
    }
  }

  /**
   * The one output that the network returns; an encoder's mean and log variance are one tensor of
   * twice the channels.
   */
  private static HostTensor.Floats expected(TensorStore golden, JsonNode outputs) {
    if (!outputs.has("logvar")) {
      String name =
          outputs.get(outputs.has("last_hidden_state") ? "last_hidden_state" : "sample").asText();
      return new HostTensor.Floats(golden.floats(name), golden.info(name).shape());
    }
    String name = outputs.get("mean").asText();
    float[] mean = golden.floats(name);
    float[] logVariance = golden.floats(outputs.get("logvar").asText());
    long[] shape = golden.info(name).shape();
    int one = mean.length / (int) shape[0];
    float[] moments = new float[2 * mean.length];
    for (int n = 0; n < shape[0]; n++) {
      System.arraycopy(mean, n * one, moments, 2 * n * one, one);
      System.arraycopy(logVariance, n * one, moments, (2 * n + 1) * one, one);
    }
    shape[1] *= 2;
    return new HostTensor.Floats(moments, shape);
  }

  private static int rows(TensorStore golden, JsonNode inputs) {
    return (int) golden.info(inputs.get("sample").asText()).shape()[0];
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
