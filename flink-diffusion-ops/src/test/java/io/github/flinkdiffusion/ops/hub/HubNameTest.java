/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class HubNameTest {

  @ParameterizedTest
  @CsvSource({
    "hf://owner/name, owner/name, main, , hf://owner/name",
    "hf://models/owner/name, owner/name, main, , hf://owner/name",
    "hf://owner/name@v1.5, owner/name, v1.5, , hf://owner/name@v1.5",
    "hf://o/n@refs/pr/3, o/n, refs/pr/3, , hf://o/n@refs/pr/3",
    "hf://o/n@refs/pr/3/a/b.safetensors, o/n, refs/pr/3, a/b.safetensors, hf://o/n@refs/pr/3/a/b.safetensors",
    "hf://o/n@feature%2Fx/b.safetensors, o/n, feature/x, b.safetensors, hf://o/n@feature%2Fx/b.safetensors",
    "hf://o/n/b.safetensors, o/n, main, b.safetensors, hf://o/n/b.safetensors",
  })
  void readsAndWritesNames(
      String text, String repository, String revision, String file, String canonical) {
    HubName name = HubName.parse(text);

    assertThat(name).isEqualTo(new HubName(repository, revision, Optional.ofNullable(file)));
    assertThat(name).hasToString(canonical);
    assertThat(HubName.parse(canonical)).isEqualTo(name);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "hf:/owner/name",
        "hf://name",
        "hf:///name",
        "hf://owner/na me",
        "hf://owner/..",
        "hf://own--er/name",
        "hf://owner/name@",
        "hf://owner/name@../../x",
        "hf://owner/name/../../etc/passwd",
        "hf://owner/name/a//b.safetensors",
        "hf://owner/name/a\\b.safetensors",
        "hf://datasets/owner/name",
        "hf://owner/x/name@main"
      })
  void refusesWhatIsNoName(String text) {
    assertThat(HubName.isOne(text)).isTrue();
    assertThatThrownBy(() -> HubName.parse(text))
        .isInstanceOf(HubException.class)
        .hasMessageContaining("Invalid name of a model on the hub")
        .hasMessageContaining("expected hf://owner/name");
  }

  @Test
  void aPathIsNoName() {
    assertThat(HubName.isOne("/models/hf")).isFalse();
    assertThat(HubName.isOne("models/owner/name")).isFalse();
  }
}
