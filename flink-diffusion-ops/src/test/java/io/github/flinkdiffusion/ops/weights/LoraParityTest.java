/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Weights with LoRAs merged are those that diffusers' load_lora_weights and fuse_lora make. */
class LoraParityTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures");
  private static final Path LORAS = FIXTURES.resolve("lora");

  /** Sums of a few products, in another order. */
  private static final float TOLERANCE = 1e-6f;

  record Case(String name, Path model, List<Lora> loras, Path golden) {
    @Override
    public String toString() {
      return name;
    }
  }

  static Stream<Case> cases() throws IOException {
    JsonNode cases = new ObjectMapper().readTree(LORAS.resolve("cases.json").toFile());
    return StreamSupport.stream(cases.spliterator(), false)
        .map(
            json -> {
              List<Lora> loras = new ArrayList<>();
              json.get("loras")
                  .forEach(
                      lora ->
                          loras.add(
                              new Lora(
                                  LORAS.resolve(lora.get("file").asText()),
                                  lora.get("scale").asDouble())));
              return new Case(
                  json.get("name").asText(),
                  FIXTURES.resolve("models").resolve(json.get("model").asText()),
                  loras,
                  LORAS.resolve(json.get("golden").asText()));
            });
  }

  @ParameterizedTest
  @MethodSource("cases")
  void mergesAsDiffusersFuses(Case run) throws IOException {
    ModelFolder plain = ModelFolder.open(run.model);
    ModelFolder merged = plain.withLoras(run.loras);
    int changed = 0;
    try (TensorStore golden = Safetensors.open(run.golden)) {
      for (String name : plain.componentNames()) {
        if (plain.component(name).weightFiles().isEmpty()) {
          continue;
        }
        Set<String> expected =
            golden.names().stream()
                .filter(key -> key.startsWith(name + "/"))
                .map(key -> key.substring(name.length() + 1))
                .collect(Collectors.toSet());
        try (TensorStore before = current(plain.component(name));
            TensorStore after = current(merged.component(name))) {
          assertThat(after.names()).containsAll(expected);
          for (String tensor : after.names()) {
            if (expected.contains(tensor)) {
              assertClose(tensor, after.floats(tensor), golden.floats(name + "/" + tensor));
              changed++;
            } else {
              assertThat(bytes(after, tensor)).as(tensor).isEqualTo(bytes(before, tensor));
            }
          }
        }
      }
      long expected = golden.names().stream().filter(name -> name.contains("/")).count();
      assertThat(changed).isEqualTo((int) expected).isPositive();
    }
  }

  private static void assertClose(String name, float[] actual, float[] expected) {
    assertThat(actual).as(name).hasSameSizeAs(expected);
    for (int i = 0; i < actual.length; i++) {
      assertThat(actual[i]).as("%s[%d]", name, i).isCloseTo(expected[i], within(TOLERANCE));
    }
  }

  private static TensorStore current(ModelComponent component) {
    return TensorViews.withTextModelPrefix(TensorViews.withCurrentAttentionNames(component.open()));
  }

  private static byte[] bytes(TensorStore store, String name) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    store.writeTo(name, store.info(name).dtype(), out);
    return out.toByteArray();
  }
}
