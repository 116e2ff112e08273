/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.image.PilResize.Filter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class PilResizeTest {

  @ParameterizedTest
  @EnumSource(Filter.class)
  void aPictureOfOneValueKeepsIt(Filter filter) {
    Raster resized = PilResize.resize(Raster.filled(2, 7, 5, 0.4f), 3, 11, filter);
    assertThat(resized).isEqualTo(Raster.filled(2, 3, 11, 0.4f));
  }

  @Test
  void valuesAreTakenToTheNearestOf256LevelsEvenAtTheSameSize() {
    Raster picture = new Raster(1, 1, 3, new float[] {-0.5f, 0.5f, 2f});
    assertThat(PilResize.resize(picture, 1, 3, Filter.BICUBIC).data())
        .containsExactly(0f, 128 / 255f, 1f);
  }

  @Test
  void refusesSizesBelowOne() {
    Raster picture = Raster.filled(3, 2, 2, 0);
    assertThatThrownBy(() -> PilResize.resize(picture, 0, 4, Filter.BOX))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("0 x 4")
        .hasMessageContaining("at least 1");
  }

  @ParameterizedTest
  @ValueSource(ints = {-1, 0, 6})
  void refusesNumbersThatNameNoFilter(int code) {
    assertThatThrownBy(() -> Filter.ofCode(code))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("filter " + code)
        .hasMessageContaining("3 (bicubic)");
  }
}
