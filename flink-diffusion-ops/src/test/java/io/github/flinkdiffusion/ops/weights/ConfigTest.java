/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ConfigTest {
  @TempDir Path folder;

  private Config config(String json) {
    try {
      return Config.read(Files.writeString(folder.resolve("config.json"), json));
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void readsWhatRealConfigsHold() {
    Config config =
        config(
            """
            {"_class_name": "UNet2DConditionModel", "sample_size": 64, "norm_eps": 1e-05, "flip_sin_to_cos": true,
             "mid_block_type": null, "attention_head_dim": [5, 10, 20, 20], "layers_per_block": 2,
             "only_cross_attention": [true, false], "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
             "trained_betas": [0.1, 1], "float_size": 32.0, "text_config": {"hidden_size": 768}}
            """);
    assertThat(config.integer("sample_size")).isEqualTo(64);
    assertThat(config.integer("float_size", 1)).isEqualTo(32);
    assertThat(config.integer("absent", 4)).isEqualTo(4);
    assertThat(config.number("norm_eps", 1)).isEqualTo(1e-5);
    assertThat(config.number("sample_size")).isEqualTo(64);
    assertThat(config.flag("flip_sin_to_cos", false)).isTrue();
    assertThat(config.has("mid_block_type")).isFalse();
    assertThat(config.string("mid_block_type", null)).isNull();
    assertThat(config.string("_class_name")).isEqualTo("UNet2DConditionModel");
    assertThat(config.integersOrOne("attention_head_dim", 4, 8)).containsExactly(5, 10, 20, 20);
    assertThat(config.integersOrOne("layers_per_block", 3, 1)).containsExactly(2, 2, 2);
    assertThat(config.integersOrOne("absent", 2, 7)).containsExactly(7, 7);
    assertThat(config.flagsOrOne("only_cross_attention", 2, false)).containsExactly(true, false);
    assertThat(config.flagsOrOne("absent", 2, true)).containsExactly(true, true);
    assertThat(config.strings("down_block_types"))
        .containsExactly("CrossAttnDownBlock2D", "DownBlock2D");
    assertThat(config.strings("absent", List.of("a"))).containsExactly("a");
    assertThat(config.numbers("trained_betas", null)).containsExactly(0.1, 1);
    assertThat(config.numbers("absent", null)).isNull();
    assertThat(config.integers("absent", new int[] {1})).containsExactly(1);
    assertThat(config.section("text_config").orElseThrow().integer("hidden_size")).isEqualTo(768);
    assertThat(config.section("vision_config")).isEmpty();
    assertThat(config.keys()).contains("sample_size").doesNotContain("mid_block_type");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"64\"|\"64\"",
        "64.5|64.5",
        "3000000000|3000000000",
        "1e300|1.0E300",
        "NaN|NaN",
        "Infinity|Infinity",
        "true|true",
        "[64]|[64]"
      })
  void aValueThatIsNoIntegerIsNamed(String json, String shown) {
    Config config = config("{\"sample_size\": " + json + "}");
    assertThatThrownBy(() -> config.integer("sample_size", 1))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessage(
            "Config %s: 'sample_size' is %s; supported: a whole number of 32 bits"
                .formatted(folder.resolve("config.json"), shown));
  }

  @ParameterizedTest
  @ValueSource(strings = {"NaN", "-Infinity", "\"1\"", "false", "{}"})
  void aValueThatIsNoFiniteNumberIsNamed(String json) {
    Config config = config("{\"scaling_factor\": " + json + "}");
    assertThatThrownBy(() -> config.number("scaling_factor", 1))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining(
            "config.json: 'scaling_factor' is " + json + "; supported: a finite number");
  }

  @Test
  void otherWrongTypesAreNamed() {
    Config config =
        config("{\"a\": 1, \"b\": \"x\", \"list\": [1, \"x\"], \"types\": [\"x\", null]}");
    assertThatThrownBy(() -> config.flag("a", true))
        .hasMessageContaining("'a' is 1; supported: true or false");
    assertThatThrownBy(() -> config.string("a"))
        .hasMessageContaining("'a' is 1; supported: a string");
    assertThatThrownBy(() -> config.strings("b"))
        .hasMessageContaining("'b' is \"x\"; supported: a list of strings");
    assertThatThrownBy(() -> config.integers("list")).hasMessageContaining("'list' is \"x\"");
    assertThatThrownBy(() -> config.strings("types")).hasMessageContaining("'types' is null");
    assertThatThrownBy(() -> config.integersOrOne("list", 3, 1))
        .isInstanceOf(IllegalConfigException.class);
    assertThatThrownBy(() -> config.flagsOrOne("list", 3, true))
        .hasMessageContaining("supported: one value, or a list of 3");
    assertThatThrownBy(() -> config.section("a"))
        .hasMessageContaining("'a' is 1; supported: an object");
  }

  @Test
  void aFlagThatIsNullIsFalse() {
    assertThat(config("{\"flip\": null}").flag("flip", true)).isFalse();
    assertThat(config("{}").flag("flip", true)).isTrue();
  }

  @Test
  void aMissingKeyIsNamed() {
    Config config = config("{\"here\": null}");
    assertThatThrownBy(() -> config.integer("here"))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("config.json: 'here' is missing; expected a whole number");
    assertThatThrownBy(() -> config.strings("types")).hasMessageContaining("'types' is missing");
  }

  @Test
  void theCallersErrorSaysWhatIsSupported() {
    assertThat(config("{}").unsupported("act_fn", "tanh", "silu, gelu"))
        .hasMessage(
            "Config %s: 'act_fn' is \"tanh\"; supported: silu, gelu"
                .formatted(folder.resolve("config.json")));
    assertThat(config("{}").unsupported("huge", "x".repeat(10_000), "less").getMessage())
        .hasSizeLessThan(500);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "[]", "7", "{\"a\": }", "{\"a\": 1, \"a\": 2}", "{} {}", "{\"a\": 1"})
  void whatIsNoJsonObjectIsRefused(String json) {
    assertThatThrownBy(() -> config(json))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining(folder.resolve("config.json").toString())
        .hasMessageContaining("JSON");
  }

  @Test
  void deepNestingIsRefusedAndNotAStackOverflow() {
    assertThatThrownBy(() -> config("{\"a\":" + "[".repeat(100_000) + "]".repeat(100_000) + "}"))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("config.json");
  }

  @Test
  void aMissingFileIsNamed() {
    assertThatThrownBy(() -> Config.read(folder.resolve("none.json")))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("none.json does not exist");
  }
}
