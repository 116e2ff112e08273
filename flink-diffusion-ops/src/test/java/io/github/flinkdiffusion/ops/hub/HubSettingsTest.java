/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HubSettingsTest {
  private static final Path HOME = Path.of("/home/user");

  @Test
  void standsWherePythonHasIt() {
    HubSettings settings = HubSettings.of(Map.of(), HOME);

    assertThat(settings.endpoint()).hasToString("https://huggingface.co");
    assertThat(settings.cache()).isEqualTo(Path.of("/home/user/.cache/huggingface/hub"));
    assertThat(settings.token()).isEmpty();
    assertThat(settings.offline()).isFalse();
    assertThat(HubSettings.of(Map.of("XDG_CACHE_HOME", "/x"), HOME).cache())
        .isEqualTo(Path.of("/x/huggingface/hub"));
    assertThat(HubSettings.of(Map.of("HF_HOME", "~/hf", "XDG_CACHE_HOME", "/x"), HOME).cache())
        .isEqualTo(Path.of("/home/user/hf/hub"));
    assertThat(HubSettings.of(Map.of("HF_HOME", "/hf", "HF_HUB_CACHE", "/cache"), HOME).cache())
        .isEqualTo(Path.of("/cache"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"1", "true", "YES", "on"})
  void isOfflineWhenPythonIs(String value) {
    assertThat(HubSettings.of(Map.of("HF_HUB_OFFLINE", value), HOME).offline()).isTrue();
    assertThat(HubSettings.of(Map.of("HF_HUB_OFFLINE", "0"), HOME).offline()).isFalse();
  }

  @Test
  void readsTheTokenThatALoginHasLeft(@TempDir Path home) throws IOException {
    Files.writeString(home.resolve("token"), "hf_abc\n");

    assertThat(HubSettings.of(Map.of("HF_HOME", home.toString()), HOME).token()).contains("hf_abc");
    assertThat(HubSettings.of(Map.of("HF_HOME", home.toString(), "HF_TOKEN", "hf_b"), HOME).token())
        .contains("hf_b");
  }

  @Test
  void neverShowsTheToken() {
    assertThat(HubSettings.of(Map.of("HF_TOKEN", "hf_secret"), HOME).toString())
        .doesNotContain("hf_secret");
    assertThatThrownBy(() -> HubSettings.of(Map.of("HF_TOKEN", "hf_secret x"), HOME))
        .isInstanceOf(HubException.class)
        .hasMessageContaining("HF_TOKEN")
        .message()
        .doesNotContain("hf_secret");
  }

  @ParameterizedTest
  @ValueSource(strings = {"huggingface.co", "ftp://host", "https://user:pw@host", "https://"})
  void refusesWhatIsNoAddressOfAHub(String endpoint) {
    assertThatThrownBy(() -> HubSettings.of(Map.of("HF_ENDPOINT", endpoint), HOME))
        .isInstanceOf(HubException.class)
        .hasMessageContaining("Invalid HF_ENDPOINT '" + endpoint + "'");
  }
}
