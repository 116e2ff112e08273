/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.examples.Comparison.Verdict;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.SampleType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ComparisonTest {
  private static final double ONE_LEVEL = 0.004;
  private static final Raster PICTURE = picture(0.4f);

  @TempDir private Path folder;

  /** All black but for one value. */
  private static Raster picture(float value) {
    float[] data = new float[3 * 4 * 5];
    data[7] = value;
    return new Raster(3, 4, 5, data);
  }

  private Path file(String name, Raster picture, String mediaType) throws IOException {
    return Files.write(folder.resolve(name), Images.write(picture, mediaType));
  }

  private Comparison compared(Raster again, String mediaType) throws IOException {
    return Comparison.of(file("first", PICTURE, "image/png"), file("again", again, mediaType));
  }

  @Test
  void theSameBytesAreIdentical() throws IOException {
    Comparison same = compared(PICTURE, "image/png");
    assertThat(same.verdict(0)).isEqualTo(Verdict.IDENTICAL);
    assertThat(same.psnr()).isInfinite();
  }

  @Test
  void thePixelsMayBeEqualWhereTheFilesAreNot() throws IOException {
    assertThat(compared(PICTURE, "image/tiff").verdict(0)).isEqualTo(Verdict.EQUAL);
    Raster named =
        PICTURE.withMetadata(ImageMetadata.NONE.withTexts(Map.of("name", "of another model")));
    assertThat(compared(named, "image/png").verdict(0)).isEqualTo(Verdict.EQUAL);
  }

  @Test
  void aDifferenceIsRoundingUpToTheTolerance() throws IOException {
    Comparison level = compared(picture(0.4f + 1 / 255f), "image/png");
    assertThat(level.verdict(ONE_LEVEL)).isEqualTo(Verdict.CLOSE);
    assertThat(level.verdict(0)).isEqualTo(Verdict.DIFFERENT);
    assertThat(level.differing()).isEqualTo(1);
    assertThat(level.values()).isEqualTo(60);
    assertThat(level.largestDifference()).isBetween(0.0039, ONE_LEVEL);
    assertThat(compared(picture(0.4f + 2 / 255f), "image/png").verdict(ONE_LEVEL))
        .isEqualTo(Verdict.DIFFERENT);
    assertThat(
            compared(picture(0.401f).storedAs(SampleType.UINT16), "image/png").verdict(ONE_LEVEL))
        .as("more bits")
        .isEqualTo(Verdict.CLOSE);
  }

  @Test
  void anotherSizeIsAnotherPicture() throws IOException {
    Comparison other = compared(Raster.filled(3, 5, 4, 0), "image/png");
    assertThat(other.sameSize()).isFalse();
    assertThat(other.verdict(1)).isEqualTo(Verdict.DIFFERENT);
    assertThat(compared(Raster.filled(1, 4, 5, 0), "image/png").verdict(1))
        .isEqualTo(Verdict.DIFFERENT);
  }

  @Test
  void theSheetShowsBothAndWhereTheyDiffer() throws IOException {
    Path first = file("first", PICTURE, "image/png");
    int three = width(Comparison.sheet(first, file("again", picture(0.9f), "image/png")));
    int two = width(Comparison.sheet(first, file("other", Raster.filled(1, 9, 9, 0), "image/png")));
    assertThat(three).isGreaterThan(3 * 256);
    assertThat(two).isBetween(2 * 256, 3 * 256);
  }

  private static int width(byte[] sheet) {
    return Images.read(sheet, ReadOptions.DEFAULT).width();
  }
}
