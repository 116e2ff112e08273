/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TiffWriterTest {
  @TempDir Path folder;

  private static final PixelFormat GRAY16 = PixelFormat.of(Bands.GRAY, SampleType.UINT16);

  @Test
  void rowsMakeTheSamePicture() {
    Raster picture = PngCodecTest.noise(2, 600, 300, 4).storedAs(SampleType.FLOAT32);
    Path byRows = folder.resolve("rows.tif");
    try (TiffWriter writer =
        TiffWriter.create(byRows, 300, 600, 2, picture.format(), picture.metadata())) {
      for (int y = 0; y < 600; y += 100) {
        writer.append(picture.crop(new Window(0, y, 300, 100)));
      }
    }
    assertThat(whole(byRows)).isEqualTo(picture);
  }

  private static Raster whole(Path file) {
    try (TiffReader reader = TiffReader.open(file, ReadOptions.DEFAULT)) {
      return reader.read(new Window(0, 0, reader.width(), reader.height()));
    }
  }

  @Test
  void smallerImagesFollowWithTheirTilesBeforeThoseOfTheLargest() throws IOException {
    BitSet missing = new BitSet();
    missing.set(0, 700 * 4);
    Raster image = PngCodecTest.noise(1, 600, 700, 4).withNoData(missing);
    try (ByteArrayChannel file = new ByteArrayChannel(Images.write(image, "image/tiff"))) {
      List<TiffDirectory> all = TiffDirectory.read(file, 0);
      assertThat(all).hasSize(6);
      int width = 700;
      long before = Long.MAX_VALUE;
      for (int i = 0; i < all.size(); i += 2) {
        assertThat(all.get(i).integer(Tiff.WIDTH, 0)).isEqualTo(width);
        assertThat(all.get(i).subfileType()).isEqualTo(i == 0 ? 0 : Tiff.REDUCED);
        assertThat(all.get(i + 1).subfileType()).isEqualTo((i == 0 ? 0 : Tiff.REDUCED) | Tiff.MASK);
        long first = all.get(i).longs(Tiff.TILE_OFFSETS)[0];
        assertThat(first).isLessThan(before);
        before = first;
        width = (width + 1) / 2;
      }
      TiffLayout half = new TiffLayout(all.get(2), file.size(), ImageLimits.DEFAULT);
      byte[] tile = half.read(file, 0, 0, 0);
      double mean = 0;
      for (int i = 0; i < 4; i++) {
        mean += image.at(0, 4 + i / 2, i % 2) * 255 / 4;
      }
      assertThat((double) (tile[512] & 0xFF)).isEqualTo(mean, within(0.51));
    }
    byte[] classes = TiffWriter.encode(image, TiffWriter.Overviews.FIRST);
    try (ByteArrayChannel file = new ByteArrayChannel(classes)) {
      TiffLayout half =
          new TiffLayout(TiffDirectory.read(file, 0).get(2), file.size(), ImageLimits.DEFAULT);
      assertThat(half.read(file, 0, 0, 0)[512] & 0xFF)
          .isEqualTo(Math.round(image.at(0, 4, 0) * 255));
    }
  }

  @Test
  void holdsTextsOfAnyScript() {
    Map<String, String> texts =
        Map.of("prompt", "a <b> & \"c\"\n\u82f9\u679c \ud83c\udf4e", "\u00c4", " x ");
    Raster picture =
        PngCodecTest.noise(3, 4, 4, 1).withMetadata(ImageMetadata.NONE.withTexts(texts));
    assertThat(Images.read(Images.write(picture, "image/tiff"), ReadOptions.DEFAULT))
        .isEqualTo(picture);
  }

  @Test
  void refusesWhatDoesNotBelong() {
    TiffWriter writer =
        TiffWriter.create(folder.resolve("x.tif"), 300, 10, 1, GRAY16, ImageMetadata.NONE);
    assertThatThrownBy(() -> writer.append(Raster.filled(1, 10, 256, 0)))
        .hasMessageContaining("1 x up to 10 x 300 are needed");
    assertThatThrownBy(() -> writer.append(Raster.filled(2, 10, 300, 0)))
        .hasMessageContaining("1 x up to 10 x 300 are needed");
    assertThatThrownBy(() -> writer.append(Raster.filled(1, 11, 300, 0)))
        .hasMessageContaining("up to 10");
    writer.append(Raster.filled(1, 9, 300, 0));
    assertThatThrownBy(() -> writer.append(Raster.filled(1, 1, 300, Float.NaN)))
        .hasMessageContaining("NaN");
    TiffWriter early =
        TiffWriter.create(folder.resolve("y.tif"), 300, 10, 1, GRAY16, ImageMetadata.NONE);
    early.append(Raster.filled(1, 9, 300, 0));
    assertThatThrownBy(early::close).hasMessageContaining("9 of 10 rows");
    assertThatThrownBy(() -> Images.write(Raster.filled(1, 2, 2, 0), "image/gif"))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("image/tiff");
  }

  @Test
  void aHeaderThatClaimsBillionsCostsNothing() {
    // Width, height, strips: each claim is checked against the file before memory is taken.
    assertThatThrownBy(() -> Images.read(header(1 << 30, 1 << 30, 1 << 31), ReadOptions.DEFAULT))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("more than the file of");
    assertThatThrownBy(() -> Images.read(header(100, 1 << 30, 2), ReadOptions.DEFAULT))
        .isInstanceOf(ImageException.class);
    assertThatThrownBy(() -> Images.read(header(0, 10, 1), ReadOptions.DEFAULT))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("0 x 10 pixels");
    assertThatThrownBy(() -> Images.read(header(50_000, 50_000, 1), ReadOptions.DEFAULT))
        .isInstanceOf(ImageException.class);
  }

  private static byte[] header(int width, int height, int strips) {
    ByteBuffer file = ByteBuffer.allocate(200).order(ByteOrder.LITTLE_ENDIAN);
    file.put((byte) 'I').put((byte) 'I').putShort((short) 42).putInt(8).putShort((short) 6);
    int[][] tags = {
      {256, 1, width},
      {257, 1, height},
      {258, 1, 8},
      {273, strips, 0},
      {278, 1, 1},
      {279, strips, 0}
    };
    for (int[] tag : tags) {
      file.putShort((short) tag[0]).putShort((short) 4).putInt(tag[1]).putInt(tag[2]);
    }
    return file.array();
  }

  /**
   * 8,192 x 8,192 pixels of 16 bits, 268 MB as floats, written in rows and read in windows by a
   * virtual machine with 96 MB.
   */
  @Test
  void aPictureLargerThanTheHeapIsWrittenAndReadInParts() throws Exception {
    Path output = folder.resolve("output.txt");
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx96m",
                "-XX:+UseSerialGC",
                "-cp",
                System.getProperty("java.class.path"),
                LargePicture.class.getName(),
                folder.resolve("large.tif").toString())
            .redirectErrorStream(true)
            .redirectOutput(output.toFile())
            .start();
    assertThat(process.waitFor()).as(() -> textOf(output.toFile())).isZero();
    assertThat(textOf(output.toFile())).contains("1024 windows agree");
  }

  private static String textOf(File file) {
    try {
      return Files.readString(file.toPath());
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  /** Runs in a virtual machine of its own. */
  static final class LargePicture {
    private static final int SIDE = 8192;
    private static final int PART = 256;

    public static void main(String[] args) {
      Path file = Path.of(args[0]);
      ImageMetadata metadata =
          ImageMetadata.NONE.withGeoreference(Georeference.northUp(32633, 500_000, 4_000_000, 10));
      try (TiffWriter writer = TiffWriter.create(file, SIDE, SIDE, 1, GRAY16, metadata)) {
        for (int y = 0; y < SIDE; y += PART) {
          writer.append(part(0, y, SIDE));
        }
      }
      int windows = 0;
      try (TiffReader reader = TiffReader.open(file, ReadOptions.DEFAULT)) {
        for (int y = 0; y < SIDE; y += PART) {
          for (int x = 0; x < SIDE; x += PART) {
            // Across tiles, but for those at the far edges.
            int fromX = Math.min(SIDE - PART, x + 100);
            int fromY = Math.min(SIDE - PART, y + 100);
            Raster read = reader.read(new Window(fromX, fromY, PART, PART));
            if (!Arrays.equals(read.data(), part(fromX, fromY, PART).data())) {
              throw new AssertionError("The window at (%d, %d)".formatted(fromX, fromY));
            }
            windows++;
          }
        }
      }
      System.out.println(windows + " windows agree");
    }

    private static Raster part(int left, int top, int width) {
      float[] data = new float[PART * width];
      for (int y = 0; y < PART; y++) {
        for (int x = 0; x < width; x++) {
          data[y * width + x] = (((left + x) * 3 + (top + y) * 5) & 0xFFFF) / 65535f;
        }
      }
      return new Raster(1, PART, width, data, GRAY16, ImageMetadata.NONE);
    }
  }

  @Test
  void numbersThatHaveAColorTableAreReadAsNumbers() throws IOException {
    Raster numbers =
        new Raster(1, 1, 3, new float[] {0, 1 / 255f, 2 / 255f})
            .withMetadata(
                ImageMetadata.NONE.withColorTable(
                    List.of(new Rgb(0, 0, 0), new Rgb(255, 128, 0), new Rgb(1, 2, 3))));
    byte[] file = Images.write(numbers, "image/tiff");
    Raster read = Images.read(file, ReadOptions.DEFAULT);
    assertThat(read.channels()).isEqualTo(1);
    assertThat(read.data()).containsExactly(0, 1 / 255f, 2 / 255f);
    TiffDirectory directory = TiffDirectory.read(new ByteArrayChannel(file), 0).get(0);
    List<Double> colors = directory.numbers(Tiff.COLOR_MAP);
    assertThat(List.of(colors.get(1), colors.get(257), colors.get(513)))
        .containsExactly(65535.0, 32896.0, 0.0);
    assertThat(colors.get(514)).isEqualTo(771);
  }
}
