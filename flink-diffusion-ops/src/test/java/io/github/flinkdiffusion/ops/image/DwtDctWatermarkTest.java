/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class DwtDctWatermarkTest {
  private static final DwtDctWatermark MARK = DwtDctWatermark.STABLE_DIFFUSION_XL;

  /** Random levels in the middle of the range, so that nothing is cut. */
  private static Raster picture(int height, int width) {
    Random random = new Random(7);
    float[] data = new float[3 * height * width];
    for (int i = 0; i < data.length; i++) {
      data[i] = 0.4f + 0.2f * random.nextFloat();
    }
    return new Raster(3, height, width, data);
  }

  @Test
  void theMessageIsReadBackFromAFile() {
    Raster written = PngCodec.decode(PngCodec.encode(MARK.embed(picture(256, 256))));
    DwtDctWatermark.Reading reading = MARK.read(written);
    assertThat(reading.matching()).isEqualTo(48);
    assertThat(reading.bits()).hasSize(48);
    assertThat(reading)
        .hasToString("101100111110110010010000011110111011000110011110 (48 of 48 as expected)");
  }

  @Test
  void anotherMessageIsNotTakenForIt() {
    boolean[] message = new boolean[48];
    message[3] = true;
    Raster marked = new DwtDctWatermark(message).embed(picture(256, 256));
    assertThat(new DwtDctWatermark(message).read(marked).matching()).isEqualTo(48);
    assertThat(MARK.read(marked).matching()).isLessThan(30);
    assertThat(MARK.read(picture(256, 256)).matching()).isBetween(10, 38);
  }

  @ParameterizedTest
  @CsvSource({"256,255", "255,256", "4,16384"})
  void smallPicturesStayAsTheyAreAndHaveNoMessage(int height, int width) {
    assertThat(DwtDctWatermark.fits(height, width)).isFalse();
    Raster picture = picture(height, width);
    assertThat(MARK.embed(picture)).isSameAs(picture);
    assertThatThrownBy(() -> MARK.read(picture))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("too small");
  }

  @Test
  void theFlattestPictureHoldsTheLongestMessage() {
    Raster flat = picture(15, 4370);
    assertThat(DwtDctWatermark.fits(15, 4370)).isTrue();
    boolean[] message = new boolean[512];
    message[511] = true;
    assertThat(
            new DwtDctWatermark(message).read(new DwtDctWatermark(message).embed(flat)).matching())
        .isGreaterThan(460);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 513})
  void refusesMessagesThatNotAllPicturesHold(int bits) {
    assertThatThrownBy(() -> new DwtDctWatermark(new boolean[bits]))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining(bits + " bits");
  }

  @Test
  void refusesWhatIsNoColorPicture() {
    assertThatThrownBy(() -> MARK.embed(Raster.filled(1, 256, 256, 0)))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("red, green and blue");
    assertThatThrownBy(() -> MARK.read(Raster.filled(3, 256, 256, Float.NaN)))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("NaN");
  }
}
