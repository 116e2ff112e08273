/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.image.DecodedSize;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.DeflaterOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is reserved for a TIFF file before it is opened. */
class SceneSizeTest {
  private static final int SIDE = 8_000;
  private static final int TAGS = 9;
  private static final int PIXELS_AT = 8 + 2 + TAGS * 12 + 4;
  private static final int SHORT = 3;
  private static final int LONG = 4;
  private static final int DEFLATE = 8;

  @TempDir Path folder;

  @Test
  void aTiledFileTakesWhatTheReaderKeepsOfItsTiles() throws IOException {
    Raster image = new Raster(1, 600, 700, new float[600 * 700]);
    Path file = Files.write(folder.resolve("tiles.tif"), Images.write(image, "image/tiff"));

    DecodedSize size = Scene.size(file, ReadOptions.DEFAULT);
    assertThat(size.width()).isEqualTo(700);
    assertThat(size.height()).isEqualTo(600);
    assertThat(size.wholeBytes()).isEqualTo(600 * 700 * Float.BYTES);
    assertThat(size.peakBytes()).isEqualTo(16 << 20);
  }

  @Test
  void aFileThatIsASingleCompressedStripTakesAllOfItsPixels() throws IOException {
    Path file = Files.write(folder.resolve("strip.tif"), singleStrip());

    assertThat(Files.size(file)).isLessThan(100_000);
    assertThat(Scene.size(file, ReadOptions.DEFAULT).peakBytes()).isGreaterThan(SIDE * SIDE);
    try (Scene scene = Scene.open(file, ReadOptions.DEFAULT, Long.MAX_VALUE)) {
      assertThat(scene.width()).isEqualTo(SIDE);
    }
  }

  private static byte[] singleStrip() throws IOException {
    ByteArrayOutputStream packed = new ByteArrayOutputStream();
    try (DeflaterOutputStream deflater = new DeflaterOutputStream(packed)) {
      for (int row = 0; row < SIDE; row++) {
        deflater.write(new byte[SIDE]);
      }
    }
    ByteBuffer file = ByteBuffer.allocate(PIXELS_AT + packed.size()).order(ByteOrder.LITTLE_ENDIAN);
    file.put((byte) 'I').put((byte) 'I').putShort((short) 42).putInt(8).putShort((short) TAGS);
    int[][] tags = {
      {256, LONG, SIDE},
      {257, LONG, SIDE},
      {258, SHORT, 8},
      {259, SHORT, DEFLATE},
      {262, SHORT, 1},
      {273, LONG, PIXELS_AT},
      {277, SHORT, 1},
      {278, LONG, SIDE},
      {279, LONG, packed.size()},
    };
    for (int[] tag : tags) {
      file.putShort((short) tag[0]).putShort((short) tag[1]).putInt(1).putInt(tag[2]);
    }
    return file.putInt(0).put(packed.toByteArray()).array();
  }
}
