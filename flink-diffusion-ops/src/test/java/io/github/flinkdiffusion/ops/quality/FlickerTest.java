/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.image.Raster;
import org.junit.jupiter.api.Test;

class FlickerTest {
  private static Raster row(float... values) {
    return new Raster(1, 1, values.length, values);
  }

  @Test
  void onlyPixelsAtRestCount() {
    assertThat(Flicker.of(row(1, 0, 1), row(1, 0, 0), row(0.5f, 0.25f, 0), row(0.75f, 0.25f, 1)))
        .hasValueCloseTo(0.125, within(1e-7));
    assertThat(Flicker.of(row(0), row(1), row(0), row(1))).isEmpty();
  }

  @Test
  void aLargerResultBelongsToThePixelsUnderIt() {
    Raster before = new Raster(1, 2, 4, new float[8]);
    Raster after = new Raster(1, 2, 4, new float[] {1, 1, 1, 0.5f, 1, 1, 0, 0});
    // The right input pixel changed: only the left half counts, 4 pixels that differ by 1.
    assertThat(Flicker.of(row(0, 0), row(0, 1), before, after)).hasValueCloseTo(1.0, within(1e-7));
  }

  @Test
  void sizesMustFit() {
    assertThatThrownBy(() -> Flicker.of(row(0, 0), row(0), row(0), row(0)))
        .isInstanceOf(QualityException.class);
    assertThatThrownBy(() -> Flicker.of(row(0, 0), row(0, 0), row(0, 0, 0), row(0, 0, 0)))
        .isInstanceOf(QualityException.class)
        .hasMessageContaining("multiples");
  }
}
