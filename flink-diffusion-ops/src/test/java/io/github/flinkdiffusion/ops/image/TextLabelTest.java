/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class TextLabelTest {
  @Test
  void aLabelIsInTheLowerLeftCornerAndNowhereElse() {
    Raster gray = Raster.filled(3, 400, 500, 0.6f);

    Raster labelled = TextLabel.draw(gray, "AI generated");

    int tall = 24;
    int wide = 13 * 12;
    double sum = 0;
    for (int y = 0; y < 400; y++) {
      for (int x = 0; x < 500; x++) {
        boolean inside = y >= 400 - tall && x < wide;
        float value = labelled.at(1, y, x);
        if (!inside) {
          assertThat(value).isEqualTo(0.6f);
        } else {
          assertThat(value).isBetween(0.149f, 1f);
          sum += value > 0.9 ? 1 : 0;
        }
      }
    }
    // Letters are some of it.
    assertThat(sum / (tall * wide)).isBetween(0.1, 0.4);
    assertThat(TextLabel.draw(gray, "AI generated")).isEqualTo(labelled);
    assertThat(TextLabel.draw(gray, "AI generateD")).isNotEqualTo(labelled);
  }

  @Test
  void transparencyEndsUnderTheLabelAndGrayImagesHaveOne() {
    Raster clear = Raster.filled(4, 64, 64, 0);
    assertThat(TextLabel.draw(clear, "AI").at(3, 60, 3)).isEqualTo(1);
    assertThat(TextLabel.draw(clear, "AI").at(3, 10, 3)).isZero();
    assertThat(TextLabel.draw(Raster.filled(1, 64, 64, 1), "AI").at(0, 63, 0)).isEqualTo(0.25f);
  }

  @Test
  void whatDoesNotFitOrIsNoTextIsRefused() {
    assertThat(TextLabel.fits("AI generated", 64, 64)).isFalse();
    assertThat(TextLabel.fits("AI", 64, 64)).isTrue();
    assertThat(TextLabel.fits("AI", 8, 64)).isFalse();
    assertThat(TextLabel.isText("x".repeat(61))).isFalse();
    assertThat(TextLabel.isText("k\u00fcnstlich")).isFalse();
    assertThat(TextLabel.isText(" ")).isFalse();
    assertThatThrownBy(() -> TextLabel.draw(Raster.filled(3, 8, 8, 0), "AI"))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("cannot have the label 'AI'");
  }
}
