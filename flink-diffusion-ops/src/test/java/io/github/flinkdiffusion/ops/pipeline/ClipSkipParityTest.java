/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.ClipTextProjection;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.TensorViews;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What diffusers' pipelines make of prompts at every {@code clip_skip}: {@code
 * src/test/python/make_clip_skip_fixtures.py}.
 */
class ClipSkipParityTest {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models");

  private record Case(JsonNode json) {
    @Override
    public String toString() {
      return json.get("embeds").asText();
    }
  }

  static Stream<Case> cases() throws IOException {
    JsonNode json = new ObjectMapper().readTree(MODELS.resolve("clip-skip.json").toFile());
    return StreamSupport.stream(json.spliterator(), false).map(Case::new);
  }

  private static ClipTextConfig config(ModelComponent component) {
    return ClipTextConfig.from(component.config());
  }

  private static Network load(ModelComponent component, int tokens) {
    ClipTextConfig config = config(component);
    Graph graph =
        component.className().equals("CLIPTextModel")
            ? new ClipText(config).graph(tokens)
            : new ClipTextProjection(config).graph(tokens);
    try (TensorStore weights = TensorViews.withTextModelPrefix(component.open())) {
      return new NetworkLoader(DeviceSpec.CPU, Precision.FLOAT32)
          .load(component.name(), graph, weights);
    }
  }

  /** The hidden states of every encoder side by side, as Stable Diffusion XL has them. */
  private static float[] embeds(ModelFolder folder, JsonNode json, TensorStore golden) {
    List<float[]> parts = new ArrayList<>();
    int rows = 0;
    for (JsonNode encoder : json.get("encoders")) {
      long[] ids = golden.longs(folder.path().getFileName() + "/" + encoder.asText() + "/ids");
      int prompts = 3;
      int tokens = ids.length / prompts;
      rows = ids.length;
      ModelComponent component = folder.component(encoder.asText());
      int skip = json.get("clipSkip").asInt(0);
      boolean xl = json.get("encoders").size() > 1;
      int layers = config(component).layers() - skip - (xl ? 1 : 0);
      long[] each = new long[prompts];
      Arrays.fill(each, layers);
      try (Network network = load(component, tokens)) {
        parts.add(
            network
                .call(
                    xl ? ClipText.AT_LAYER : ClipText.AT_LAYER_NORMED,
                    new HostTensor.Longs(ids, prompts, tokens),
                    new HostTensor.Longs(each, prompts))
                .data());
      }
    }
    int width = parts.stream().mapToInt(part -> part.length).sum() / rows;
    float[] joined = new float[rows * width];
    int column = 0;
    for (float[] part : parts) {
      int own = part.length / rows;
      for (int row = 0; row < rows; row++) {
        System.arraycopy(part, row * own, joined, row * width + column, own);
      }
      column += own;
    }
    return joined;
  }

  @ParameterizedTest
  @MethodSource("cases")
  void promptsAreEncodedAsByTheReference(Case one) {
    ModelFolder folder = ModelFolder.open(MODELS.resolve(one.json.get("folder").asText()));
    try (TensorStore golden = Safetensors.open(MODELS.resolve("clip-skip.safetensors"))) {
      float[] expected = golden.floats(one.json.get("embeds").asText());
      float[] actual = embeds(folder, one.json, golden);
      assertThat(actual).hasSameSizeAs(expected);
      for (int i = 0; i < expected.length; i++) {
        assertThat(Math.abs(actual[i] - expected[i])).as("value %d", i).isLessThan(1e-4f);
      }
    }
  }

  @Test
  void promptsOfOneCallMaySkipDifferentLayers() {
    ModelComponent component =
        ModelFolder.open(MODELS.resolve("tiny-sd2")).component("text_encoder");
    try (TensorStore golden = Safetensors.open(MODELS.resolve("clip-skip.safetensors"));
        Network network = load(component, 77)) {
      HostTensor.Longs ids = new HostTensor.Longs(golden.longs("tiny-sd2/text_encoder/ids"), 3, 77);
      int layers = config(component).layers();
      float[] mixed =
          network
              .call(
                  ClipText.AT_LAYER_NORMED,
                  ids,
                  new HostTensor.Longs(new long[] {layers, layers - 2, 0}, 3))
              .data();
      int size = mixed.length / 3;
      int[] skipped = {0, 2, layers};
      for (int prompt = 0; prompt < 3; prompt++) {
        float[] expected = golden.floats("tiny-sd2/" + skipped[prompt] + "/embeds");
        for (int i = prompt * size; i < (prompt + 1) * size; i++) {
          assertThat(Math.abs(mixed[i] - expected[i])).as("value %d", i).isLessThan(1e-4f);
        }
      }
    }
  }
}
