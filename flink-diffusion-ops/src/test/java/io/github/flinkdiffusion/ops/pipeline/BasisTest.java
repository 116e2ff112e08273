/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

class BasisTest {
  private static final Basis SAVED =
      Basis.of("d", Map.of(Basis.PRECISION, "FLOAT32", Basis.LORAS, "a=0.5"));

  @Test
  void namesWhatDiffersInOrderWithBothValues() {
    assertThat(SAVED.differencesFrom(SAVED)).isEmpty();
    assertThat(
            Basis.of("e", Map.of(Basis.PRECISION, "BFLOAT16", "caching", "every 2"))
                .differencesFrom(SAVED))
        .containsExactly(
            "caching (absent, now every 2)",
            "digest (d, now e)",
            "loras (a=0.5, now absent)",
            "precision (FLOAT32, now BFLOAT16)");
  }

  @Test
  void ofWhatEarlierVersionsSavedTheDigestIsCompared() {
    assertThat(SAVED.differencesFrom(Basis.ofDigest("d"))).isEmpty();
    assertThat(SAVED.differencesFrom(Basis.ofDigest("e"))).containsExactly("digest (e, now d)");
  }

  @Test
  void withoutADigestThereIsNone() {
    assertThatThrownBy(() -> new Basis(new TreeMap<>(Map.of(Basis.PRECISION, "FLOAT32"))))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("digest");
  }
}
