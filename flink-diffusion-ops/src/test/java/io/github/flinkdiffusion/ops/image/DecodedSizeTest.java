/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

class DecodedSizeTest {
  private static long peak(byte[] file) {
    return DecodedSize.of(file, file.length, ImageLimits.DEFAULT).peakBytes();
  }

  private static Raster image(int channels) {
    return new Raster(channels, 5, 7, new float[channels * 35]);
  }

  @Test
  void countsTheSamplesOfTheFileAndOfTheRaster() {
    assertThat(peak(PngCodec.encode(image(1)))).isEqualTo(35 * (4 + 1));
    assertThat(peak(PngCodec.encode(image(4).storedAs(SampleType.UINT16))))
        .isEqualTo(35 * 4 * (4 + 2));
    assertThat(peak(Images.write(image(1), "image/jpeg"))).isEqualTo(35 * (4 + 1));
    assertThat(peak(Images.write(image(3), "image/jpeg"))).isEqualTo(35 * 3 * (4 + 1));
  }

  @Test
  void filesThatAreReadAsTheyStandAreBoundedByTheirLength() {
    assertThat(DecodedSize.of(new byte[132], 1000, ImageLimits.DEFAULT).peakBytes())
        .isEqualTo(5000);
    assertThat(DecodedSize.of(new byte[0], Long.MAX_VALUE, ImageLimits.DEFAULT).peakBytes())
        .isPositive();
  }

  @Test
  void aSizeBeyondAllNumbersIsStillTooLarge() {
    byte[] png = PngCodec.encode(image(4).storedAs(SampleType.UINT16));
    ByteBuffer.wrap(png).putInt(16, -1).putInt(20, -1);
    assertThat(peak(png)).isEqualTo(Long.MAX_VALUE);
  }

  @Test
  void aJpegWhoseHeaderIsFarBackMayBeAsLargeAsTheLimitsAllow() {
    byte[] jpeg = Images.write(image(3), "image/jpeg");
    assertThat(
            DecodedSize.of(Arrays.copyOf(jpeg, 20), jpeg.length, ImageLimits.DEFAULT).peakBytes())
        .as("an image that EXIF data may turn")
        .isEqualTo(4096L * 4096 * 3 * 8);
  }

  @Test
  void truncatedFilesAreForTheirReaderToRefuse() {
    byte[] png = PngCodec.encode(image(1));
    for (int length = 0; length < png.length; length++) {
      assertThat(peak(Arrays.copyOf(png, length))).isNotNegative();
    }
    byte[] jpeg = Images.write(image(3), "image/jpeg");
    for (int length = 0; length < jpeg.length; length++) {
      assertThat(peak(Arrays.copyOf(jpeg, length))).isNotNegative();
    }
  }
}
