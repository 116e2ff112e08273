/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static io.github.flinkdiffusion.ops.image.NoDataTest.file;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.SortedMap;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Photographs as Pillow reads them; {@code src/test/python/make_photo_fixtures.py}. */
class PhotoTest {

  private static Raster read(String path) {
    return Images.read(file(path), ReadOptions.DEFAULT);
  }

  private static int[] sample(Raster raster, int y, int x) {
    int[] values = new int[raster.channels()];
    for (int c = 0; c < values.length; c++) {
      values[c] = Math.round(raster.at(c, y, x) * 255);
    }
    return values;
  }

  private static JsonNode expected() throws IOException {
    return new ObjectMapper().readTree(file("photos/expected.json"));
  }

  static List<String> files() throws IOException {
    List<String> names = new ArrayList<>();
    expected().fieldNames().forEachRemaining(names::add);
    assertThat(names).hasSizeGreaterThan(15);
    return names;
  }

  @ParameterizedTest
  @MethodSource("files")
  void samplesAreThoseThatPillowReads(String name) throws IOException {
    Raster raster = read("photos/" + name);
    JsonNode file = expected().get(name);
    assertThat(List.of(raster.height(), raster.width(), raster.channels()))
        .isEqualTo(
            List.of(
                file.get("shape").get(0).asInt(),
                file.get("shape").get(1).asInt(),
                file.get("shape").get(2).asInt()));
    int at = 0;
    for (int y = 0; y < raster.height(); y++) {
      for (int x = 0; x < raster.width(); x++) {
        for (int value : sample(raster, y, x)) {
          assertThat(value).as("(%d, %d)", x, y).isEqualTo(file.get("values").get(at++).asInt());
        }
      }
    }
  }

  @Test
  void aProfileIsKeptAndNotApplied() {
    Raster wide = read("image-cases/jpeg-icc-wide.jpg");
    Raster plain = read("image-cases/jpeg-no-icc.jpg");
    assertThat(wide.data()).isEqualTo(plain.data());
    assertThat(sample(wide, 0, 0)).containsExactly(186, 240, 224);
    assertThat(sample(wide, 63, 63)).containsExactly(169, 23, 34);
    assertThat(wide.metadata().profile(3).orElseThrow()).hasSize(480);
    assertThat(plain.metadata().profile(3)).isEmpty();
  }

  @Test
  void twoProfilesThatContradictEachOtherAreNone() {
    Raster twice = read("image-cases/jpeg-icc-twice.jpg");
    assertThat(twice.data()).isEqualTo(read("image-cases/jpeg-no-icc.jpg").data());
    assertThat(twice.metadata().profile(3)).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"image/png", "image/jpeg", "image/tiff"})
  void aResultHasTheProfileIfItHasItsColors(String mediaType) {
    Raster source = read("image-cases/jpeg-icc-wide.jpg");
    byte[] profile = source.metadata().profile(3).orElseThrow();
    Raster result =
        Images.read(
            Images.write(Raster.filled(3, 128, 128, 0.5f).like(source), mediaType),
            ReadOptions.DEFAULT);
    assertThat(result.metadata().profile(3).orElseThrow()).isEqualTo(profile);
    Raster gray =
        Images.read(
            Images.write(Raster.filled(1, 64, 64, 0.5f).withMetadata(source.metadata()), mediaType),
            ReadOptions.DEFAULT);
    assertThat(gray.metadata().profile(1)).isEmpty();
  }

  @Test
  void anImageThatExifTurnsIsReadUprightAndWrittenUpright() {
    Raster upright = read("image-cases/jpeg-exif-orientation6.jpg");
    assertThat(upright.width()).isEqualTo(40);
    assertThat(upright.height()).isEqualTo(64);
    assertThat(sample(upright, 0, 0)).containsExactly(175, 141, 174);
    assertThat(sample(upright, 5, 7)).containsExactly(141, 155, 190);
    assertThat(sample(upright, 63, 39)).containsExactly(117, 173, 162);
    Raster again = Images.read(Images.write(upright, "image/png"), ReadOptions.DEFAULT);
    assertThat(again.data()).isEqualTo(upright.data());
    assertThat(again.width()).isEqualTo(40);
  }

  /** A row of two pixels, turned by texts in which programs put what has no block of its own. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          XML:com.adobe.xmp     | <rdf:Description tiff:Orientation="6"/>           | 6
          XML:com.adobe.xmp     | <tiff:Orientation>8</tiff:Orientation>            | 8
          XML:com.adobe.xmp     | <rdf:Description tiff:Orientation="9"/>           | 1
          XML:com.adobe.xmp     | tiff:Orientation is not said                      | 1
          Raw profile type exif | ;exif;32;4578696600004d4d002a00000008;0001011200030000000100060000 | 6
          Raw profile type exif | ;exif;32;4578696600004d4d002a0000000                | 1
          Raw profile type exif | nonsense                                          | 1
          """)
  void anImageIsTurnedByTextsToo(String name, String text, int orientation) {
    Raster row = new Raster(1, 1, 2, new float[] {0, 1});
    SortedMap<String, String> texts = new TreeMap<>(Map.of(name, text.replace(";", "\n")));
    ImageMetadata metadata =
        new ImageMetadata(Optional.empty(), Optional.empty(), texts, ImageMetadata.NONE.tags());
    byte[] file = PngCodec.encode(row.withMetadata(metadata));

    Raster read = PngCodec.decode(file);

    if (orientation == 1) {
      assertThat(read.data()).containsExactly(0, 1);
      assertThat(read.width()).isEqualTo(2);
    } else {
      assertThat(read.width()).isEqualTo(1);
      // 6 is a quarter to the right, 8 to the left.
      assertThat(read.data()).containsExactly(orientation == 6 ? 0 : 1, orientation == 6 ? 1 : 0);
      assertThat(read.metadata().texts()).as("a reader would turn it again").isEmpty();
    }
  }

  /** Two rows of two pixels, eight bits, of runs. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          02010000 02000000 0001     |
          02010000 03000000 0001     | ends at pixel 3 of row 2
          02010000 02000000 02010001 | ends at pixel 2 of row 3
          02010000 02000000          | no end mark
          02010000 00030101010000 01 | ends at pixel 3 of row 2
          """)
  void packedBmpPixelsEndWithTheirRowAndTheirImage(String runs, String why) {
    byte[] packed = HexFormat.of().parseHex(runs.replace(" ", ""));
    ByteBuffer file = ByteBuffer.allocate(62 + packed.length).order(ByteOrder.LITTLE_ENDIAN);
    file.put((byte) 'B').put((byte) 'M').putInt(file.capacity()).putInt(0).putInt(62);
    file.putInt(40).putInt(2).putInt(2).putShort((short) 1).putShort((short) 8).putInt(1);
    file.putInt(packed.length).putInt(0).putInt(0).putInt(2).putInt(0);
    file.putInt(0).putInt(0xFFFFFF).put(packed);

    if (why == null) {
      assertThat(Images.read(file.array(), ReadOptions.DEFAULT).data()).startsWith(0, 0, 1, 1);
    } else {
      assertThatThrownBy(() -> Images.read(file.array(), ReadOptions.DEFAULT))
          .isInstanceOf(ImageException.class)
          .hasMessageContaining(why);
    }
  }

  @Test
  void ofFewBitsAColorMayBeClear() {
    Raster one = read("image-cases/png-gray1-trns.png");
    assertThat(one.channels()).isEqualTo(2);
    assertThat(sample(one, 0, 0)).containsExactly(255, 0);
    assertThat(sample(one, 0, 3)).containsExactly(0, 255);
    Raster four = read("image-cases/png-gray4-trns.png");
    assertThat(sample(four, 0, 0)).containsExactly(0, 0);
    assertThat(sample(four, 0, 1)).containsExactly(238, 255);
    assertThat(sample(four, 0, 3)).containsExactly(17, 255);
  }

  @Test
  void jpegFilesHoldTextsOfAnyLengthAndScript() {
    Map<String, String> texts =
        Map.of("record", "{\"a\": 1}".repeat(20_000), "prompt", "\u82f9\u679c \ud83c\udf4e");
    Raster picture =
        PngCodecTest.noise(3, 8, 8, 1)
            .withMetadata(
                ImageMetadata.NONE.withTexts(texts).withSpacing(new PixelSpacing(0.1, 0.2)));
    Raster again = Images.read(Images.write(picture, "image/jpeg"), ReadOptions.DEFAULT);
    assertThat(again.metadata().texts()).isEqualTo(texts);
    assertThat(again.metadata().spacing()).contains(new PixelSpacing(0.1, 0.2));
  }

  @ParameterizedTest
  @ValueSource(strings = {"lossless.webp", "frames.gif", "color.bmp", "cmyk.jpg", "profile.png"})
  void damagedFilesAreRefusedByNameOrRead(String name) {
    byte[] good = file("photos/" + name);
    Random random = new Random(5);
    int refused = 0;
    for (int i = 0; i < 400; i++) {
      byte[] bad = i % 4 == 0 ? Arrays.copyOf(good, random.nextInt(good.length)) : good.clone();
      for (int n = 0; n < 1 + i % 3 && bad.length > 0; n++) {
        bad[random.nextInt(bad.length)] = (byte) random.nextInt();
      }
      try {
        assertThat(Images.read(bad, ReadOptions.DEFAULT).data()).isNotEmpty();
      } catch (ImageException e) {
        refused++;
        assertThat(e.getMessage()).isNotBlank();
      }
    }
    assertThat(refused).isPositive();
  }

  @Test
  void pagesAreRefused() {
    for (String name : List.of("lossless.webp", "frames.gif", "color.bmp")) {
      assertThatThrownBy(() -> Images.read(file("photos/" + name), ReadOptions.DEFAULT.withPage(1)))
          .isInstanceOf(ImageException.class)
          .hasMessageContaining("Page 1");
    }
  }

  @ParameterizedTest
  @CsvSource({
    "00000020667479706176696600000000, An AVIF file cannot be read",
    "000000186674797068656963000000006d696631, A HEIC file (HEIF) cannot be read",
    "0000000c4a584c200d0a870a, A JPEG XL file cannot be read",
    "0000000c6a5020200d0a870a, A JPEG 2000 file that no DICOM file holds cannot be read"
  })
  void kindsWithoutADecoderAreRefusedByName(String hex, String message) {
    byte[] file = HexFormat.of().parseHex(hex);
    assertThatThrownBy(() -> Images.read(file, ReadOptions.DEFAULT))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining(message.replace("(HEIF)", "(HEIF, heic)"))
        .hasMessageContaining("convert it to one of image/png");
  }

  /** Whoever cuts off data may leave the sizes of chunks and parts as they would have to be. */
  @Test
  void aLossyImageThatEndsEarlyIsRefused() throws IOException {
    byte[] file = file("photos/lossy-noise.webp");
    ByteBuffer bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    int cut = bytes.getInt(16) - 60;
    byte[] shorter = Arrays.copyOf(file, 20 + cut);
    ByteBuffer.wrap(shorter).order(ByteOrder.LITTLE_ENDIAN).putInt(4, 12 + cut).putInt(16, cut);

    assertThatThrownBy(() -> Images.read(shorter, ReadOptions.DEFAULT))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("Truncated WebP file")
        .hasMessageContaining("of 2 blocks");
  }

  @Test
  void aWebpHeaderWithoutAnythingInItIsRefused() throws IOException {
    byte[] file = file("photos/lossy-frames.webp");
    Arrays.fill(file, 16, 20, (byte) 0);
    assertThatThrownBy(() -> Images.read(file, ReadOptions.DEFAULT))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("its header VP8X is empty");
  }
}
