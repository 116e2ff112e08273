/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class FloatResizeTest {

  @ParameterizedTest
  @EnumSource(PilResize.Filter.class)
  void isPillowsResizeButForItsRounding(PilResize.Filter filter) {
    Raster picture = picture(3, 17, 23);
    for (int[] size : new int[][] {{7, 9}, {40, 60}, {17, 31}, {5, 23}}) {
      float[] rounded = PilResize.resize(picture, size[0], size[1], filter).data();
      float[] exact = FloatResize.resize(picture, size[0], size[1], filter).data();
      for (int i = 0; i < exact.length; i++) {
        // One rounding after each direction.
        assertThat(exact[i]).isCloseTo(rounded[i], within(2 / 255f));
      }
    }
  }

  @Test
  void aPictureOfItsOwnSizeStaysAsItIs() {
    Raster picture = picture(2, 6, 5);
    assertThat(FloatResize.resize(picture, 6, 5, PilResize.Filter.BICUBIC).data())
        .containsExactly(picture.data(), within(1e-6f));
  }

  @Test
  void bicubicKeepsASlopeAwayFromTheEdges() {
    float[] slope = new float[12];
    for (int i = 0; i < slope.length; i++) {
      slope[i] = 1000 * i; // No picture's range: 16 bits and floats stay what they are.
    }
    float[] enlarged =
        FloatResize.resize(new Raster(1, 1, 12, slope), 1, 48, PilResize.Filter.BICUBIC).data();
    for (int i = 8; i < 40; i++) {
      assertThat(enlarged[i]).isCloseTo(1000 * ((i + 0.5f) / 4 - 0.5f), within(0.01f));
    }
  }

  @Test
  void refusesASizeOfNothing() {
    Raster picture = picture(1, 2, 2);
    assertThatThrownBy(() -> FloatResize.resize(picture, 0, 2, PilResize.Filter.BOX))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("0 x 2");
  }

  /** Of middle tones: nothing that a filter overshoots is clipped. */
  private static Raster picture(int channels, int height, int width) {
    Random random = new Random(3);
    float[] data = new float[channels * height * width];
    for (int i = 0; i < data.length; i++) {
      data[i] = (100 + random.nextInt(56)) / 255f;
    }
    return new Raster(channels, height, width, data);
  }
}
