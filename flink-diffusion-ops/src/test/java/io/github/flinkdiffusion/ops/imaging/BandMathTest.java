/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.image.ImageException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class BandMathTest {
  private static final double[] BANDS = {2, 3, 5, 7};

  @ParameterizedTest
  @CsvSource({
    "B1, 2",
    "' b4 ', 7",
    "B1+B2*B3, 17",
    "(B1+B2)*B3, 25",
    "B4-B3-B2, -1",
    "B4/B1/B2, 1.1666666666666667",
    "(B4-B3)/(B4+B3), 0.16666666666666666",
    "-B1*-(B2), 6",
    "2.5e0 * (B4 - B3) / (B4 + 6*B3 - 7.5*B2 + 1), 0.32258064516129031",
    "1 - -1, 2"
  })
  void isComputedAsInSchool(String text, double expected) {
    assertThat(BandMath.parseAll(text).get(0).of(band -> BANDS[band])).isEqualTo(expected);
  }

  @Test
  void aListKeepsItsOrderAndPlainBandsAreKnown() {
    assertThat(BandMath.parseAll("B3, B2,B1 + 0"))
        .extracting(one -> one.band().orElse(-1))
        .containsExactly(2, 1, -1);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "B0",
        "B",
        "B1,",
        "B1 B2",
        "(B1",
        "B1)",
        "B1 +",
        "* B1",
        "1e999",
        "1..2",
        "B1^2",
        "abs(B1)",
        "B9999999",
        "B1;B2",
        "\u0661"
      })
  void whatIsNoExpressionIsRefusedWithItsPlace(String text) {
    assertThatThrownBy(() -> BandMath.parseAll(text))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("Bands are B1, B2 and so on");
  }

  @Test
  void depthAndLengthAreBounded() {
    assertThatThrownBy(() -> BandMath.parseAll("(".repeat(400) + "B1"))
        .hasMessageContaining("within each other");
    assertThatThrownBy(() -> BandMath.parseAll("-".repeat(400) + "B1"))
        .isInstanceOf(ImageException.class);
    assertThatThrownBy(() -> BandMath.parseAll("B1+".repeat(400) + "B1"))
        .hasMessageContaining("1202 characters; at most 500");
  }
}
