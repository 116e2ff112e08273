/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.image.SpreadWatermark.Reading;
import io.github.flinkdiffusion.ops.image.SpreadWatermark.Search;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Random;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** check_watermark.py counts on 500 photos; its figures are in docs/PROVE.md. */
class SpreadWatermarkTest {
  private static final long PAYLOAD = 0xC0FFEE123456L;
  private static final Raster PICTURE = picture(288, 320);
  private static final SpreadWatermark WATERMARK =
      new SpreadWatermark(key("a secret of the tests"));
  private static final Raster MARKED = inEightBits(WATERMARK.embed(PICTURE, PAYLOAD));

  private static WatermarkKey key(String secret) {
    return new WatermarkKey(secret.getBytes(StandardCharsets.UTF_8));
  }

  /** Blurred noise on a slope, in three colors: about as rough as a photo. */
  private static Raster picture(int height, int width) {
    Random random = new Random(3);
    float[] data = new float[3 * height * width];
    float[] carried = new float[width];
    for (int i = 0; i < data.length; i++) {
      int x = i % width;
      float left = x == 0 ? 0 : carried[x - 1];
      carried[x] = 0.48f * carried[x] + 0.48f * left + 0.02f * (float) random.nextGaussian();
      data[i] = Math.max(0, Math.min(1, 0.3f + 0.4f * x / width + carried[x]));
    }
    return new Raster(3, height, width, data);
  }

  private static Raster inEightBits(Raster picture) {
    return Images.read(PngCodec.encode(picture), ReadOptions.DEFAULT);
  }

  private static Optional<Long> payload(Raster picture) {
    return WATERMARK.read(picture, Search.COMMON).map(Reading::payload);
  }

  private static Raster each(Raster picture, UnaryOperator<Float> change) {
    float[] data = picture.data().clone();
    for (int i = 0; i < data.length; i++) {
      data[i] = Math.max(0, Math.min(1, change.apply(data[i])));
    }
    return inEightBits(new Raster(3, picture.height(), picture.width(), data));
  }

  private static Raster cut(Raster picture, int top, int left, int height, int width) {
    float[] data = new float[3 * height * width];
    for (int i = 0; i < data.length; i++) {
      int row = i / width;
      int y = row % height + top;
      data[i] =
          picture
              .data()[(row / height * picture.height() + y) * picture.width() + i % width + left];
    }
    return new Raster(3, height, width, data);
  }

  @Test
  void aMarkIsReadAndCannotBeSeen() {
    Reading reading = WATERMARK.read(MARKED, Search.COMMON).orElseThrow();
    assertThat(reading.payload()).isEqualTo(PAYLOAD);
    assertThat(reading.score()).isGreaterThan(SpreadWatermark.THRESHOLD);
    assertThat(reading.scale()).isEqualTo(1);
    Raster before = inEightBits(PICTURE);
    double error = 0;
    for (int i = 0; i < before.data().length; i++) {
      error += Math.pow(before.data()[i] - MARKED.data()[i], 2) / before.data().length;
    }
    assertThat(-10 * Math.log10(error)).isBetween(40.0, 40.3);
  }

  @Test
  void itSurvivesCompressionCroppingScalingAndBrightness() {
    byte[] jpeg = Images.write(MARKED, "image/jpeg");
    assertThat(payload(Images.read(jpeg, ReadOptions.DEFAULT))).contains(PAYLOAD);
    assertThat(payload(cut(MARKED, 13, 27, 262, 290))).contains(PAYLOAD);
    assertThat(payload(inEightBits(PilResize.resize(MARKED, 144, 160, PilResize.Filter.BICUBIC))))
        .contains(PAYLOAD);
    assertThat(payload(inEightBits(PilResize.resize(MARKED, 230, 256, PilResize.Filter.BICUBIC))))
        .contains(PAYLOAD);
    assertThat(payload(each(MARKED, value -> value * 1.2f))).contains(PAYLOAD);
    assertThat(payload(each(MARKED, value -> value * 0.8f))).contains(PAYLOAD);
  }

  @Test
  void anUnusualScaleIsFoundByASearchThroughAll() {
    Raster smaller = inEightBits(PilResize.resize(MARKED, 130, 144, PilResize.Filter.BICUBIC));
    Reading reading = WATERMARK.read(smaller, Search.ALL).orElseThrow();
    assertThat(reading.payload()).isEqualTo(PAYLOAD);
    assertThat(reading.scale()).isBetween(0.44, 0.46);
  }

  @Test
  void nothingIsReadWithoutAMarkOrWithAnotherKey() {
    assertThat(payload(PICTURE)).isEmpty();
    assertThat(payload(Raster.filled(3, 256, 256, 0.5f))).isEmpty();
    assertThat(new SpreadWatermark(key("another secret here")).read(MARKED, Search.COMMON))
        .isEmpty();
  }

  @Test
  void theSameRequestGetsTheSameMark() {
    assertThat(WATERMARK.embed(PICTURE, PAYLOAD).data())
        .isEqualTo(WATERMARK.embed(PICTURE, PAYLOAD).data());
  }

  @Test
  void blackAndWhiteAreMarkedAsFarAsTheyCanBe() {
    for (float level : new float[] {0, 1}) {
      Raster marked = inEightBits(WATERMARK.embed(Raster.filled(3, 256, 256, level), PAYLOAD));
      assertThat(payload(marked)).contains(PAYLOAD);
    }
  }

  @Test
  void whatCannotBeMarkedIsRefused(@TempDir Path folder) throws Exception {
    assertThatThrownBy(() -> WATERMARK.embed(picture(255, 300), 1))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("256 pixels a side");
    assertThatThrownBy(() -> WATERMARK.embed(Raster.filled(1, 300, 300, 0), 1))
        .hasMessageContaining("red, green and blue are needed");
    Path file = Files.write(folder.resolve("key"), new byte[15]);
    assertThatThrownBy(() -> WatermarkKey.read(file))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining(file.toString())
        .hasMessageContaining("15 bytes; 16 to 4096 are accepted");
    assertThatThrownBy(() -> WatermarkKey.read(folder.resolve("none")))
        .hasMessageContaining("Cannot read the watermark key file");
  }
}
