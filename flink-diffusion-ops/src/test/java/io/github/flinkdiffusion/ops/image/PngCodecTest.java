/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.zip.CRC32;
import java.util.zip.Deflater;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PngCodecTest {
  private static final int HEADER_AT = 16;

  static Raster noise(int channels, int height, int width, long seed) {
    Random random = new Random(seed);
    float[] data = new float[channels * height * width];
    for (int i = 0; i < data.length; i++) {
      data[i] = random.nextInt(256) / 255f;
    }
    return new Raster(channels, height, width, data);
  }

  /** A file whose header says other sizes, with its checksum made right again. */
  private static byte[] withHeader(int width, int height, int bits, int colorType) {
    byte[] png = PngCodec.encode(noise(3, 4, 4, 1));
    ByteBuffer bytes = ByteBuffer.wrap(png);
    bytes.putInt(HEADER_AT, width).putInt(HEADER_AT + 4, height);
    bytes.put(HEADER_AT + 8, (byte) bits).put(HEADER_AT + 9, (byte) colorType);
    CRC32 crc = new CRC32();
    crc.update(png, HEADER_AT - 4, 17);
    bytes.putInt(HEADER_AT + 13, (int) crc.getValue());
    return png;
  }

  @Test
  void cutsValuesOutsideZeroToOne() {
    float[] data = {-1, -0f, 2, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, 1.0000001f};
    assertThat(PngCodec.decode(PngCodec.encode(new Raster(1, 1, 6, data))).data())
        .containsExactly(0, 0, 1, 1, 0, 1);
  }

  @Test
  void refusesWhatIsNoPicture() {
    assertThatThrownBy(() -> PngCodec.encode(Raster.filled(3, 2, 2, Float.NaN)))
        .isInstanceOf(ImageException.class)
        .hasMessage("Raster[3 x 2 x 2] holds a value that is not a number; 0 to 1 are expected");
    assertThatThrownBy(() -> PngCodec.encode(Raster.filled(5, 2, 2, 0)))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("1 to 4 channels");
  }

  @ParameterizedTest
  @CsvSource({"2147483647,2147483647", "100000,1", "1,16385", "16384,16384", "4097,4096"})
  void refusesHugePicturesBeforeReadingTheirPixels(int width, int height) {
    assertThatThrownBy(() -> PngCodec.decode(withHeader(width, height, 8, 2)))
        .isInstanceOf(ImageException.class)
        .hasMessage(
            "The image is %d x %d pixels; at most 16384 a side and 16777216 in all are accepted",
            width, height);
  }

  @Test
  void holdsTheLimitsOfTheCaller() {
    byte[] png = PngCodec.encode(noise(3, 4, 6, 1));
    assertThat(PngCodec.decode(png, ImageLimits.DEFAULT.withPixels(6, 24)).width()).isEqualTo(6);
    assertThatThrownBy(() -> PngCodec.decode(png, ImageLimits.DEFAULT.withPixels(5, 24)))
        .hasMessageContaining("6 x 4");
    assertThatThrownBy(() -> PngCodec.decode(png, ImageLimits.DEFAULT.withPixels(6, 23)))
        .hasMessageContaining("23 in all");
    assertThatThrownBy(() -> PngCodec.decode(png, new ImageLimits(6, 24, 2, 288)))
        .hasMessageContaining("3 bands");
    assertThatThrownBy(() -> PngCodec.decode(png, new ImageLimits(6, 24, 3, 287)))
        .hasMessageContaining("more than 287 bytes");
    assertThatThrownBy(() -> new ImageLimits(0, 1, 1, 4)).isInstanceOf(ImageException.class);
  }

  @ParameterizedTest
  @CsvSource({
    "0,4,8,2",
    "4,-1,8,2",
    "4,4,8,5",
    "4,4,7,2",
    "4,400,8,2",
    "400,4,8,2",
    "4,4,8,3",
    "4,4,8,6"
  })
  void refusesHeadersThatAreNotSo(int width, int height, int bits, int colorType) {
    assertThatThrownBy(() -> PngCodec.decode(withHeader(width, height, bits, colorType)))
        .isInstanceOf(ImageException.class);
  }

  @Test
  void refusesEveryTruncation() {
    byte[] png = PngCodec.encode(noise(3, 5, 7, 3));
    for (int length = 0; length < png.length; length++) {
      byte[] cut = Arrays.copyOf(png, length);
      assertThatThrownBy(() -> PngCodec.decode(cut))
          .as("cut to %d bytes", length)
          .isInstanceOf(ImageException.class);
    }
  }

  @Test
  void refusesEveryFlippedBit() {
    byte[] png = PngCodec.encode(noise(1, 3, 3, 4));
    for (int bit = 0; bit < png.length * 8; bit++) {
      byte[] damaged = png.clone();
      damaged[bit / 8] ^= (byte) (1 << bit % 8);
      assertThatThrownBy(() -> PngCodec.decode(damaged))
          .as("bit %d", bit)
          .isInstanceOf(ImageException.class);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "hello", "GIF89a", "\u00ff\u00d8\u00ff\u00e0", "<svg/>"})
  void refusesOtherFormats(String bytes) {
    assertThatThrownBy(() -> PngCodec.decode(bytes.getBytes(StandardCharsets.ISO_8859_1)))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("Not a PNG file");
  }

  @Test
  void holdsSixteenBitsToTheLast() {
    for (int channels = 1; channels <= 4; channels++) {
      float[] data = new float[channels * 16384];
      for (int i = 0; i < data.length; i++) {
        data[i] = (i * 7919 & 0xFFFF) / 65535f;
      }
      Raster picture = new Raster(channels, 128, 128, data).storedAs(SampleType.UINT16);
      assertThat(PngCodec.decode(PngCodec.encode(picture))).isEqualTo(picture);
    }
  }

  @Test
  void holdsTextsOfAnyScriptAndThePixelsSpacing() {
    ImageMetadata metadata =
        ImageMetadata.NONE
            .withSpacing(new PixelSpacing(0.5, 0.25))
            .withTexts(
                Map.of(
                    "prompt",
                    "an apple\nand a pear",
                    "Titel",
                    "\u00c4pfel",
                    "title",
                    "\u82f9\u679c"));
    Raster picture = noise(3, 4, 4, 1).withMetadata(metadata);
    assertThat(PngCodec.decode(PngCodec.encode(picture))).isEqualTo(picture);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", " a", "a\nb", "\u82f9"})
  void refusesNamesThatAPngTextCanNotHave(String name) {
    Raster picture =
        noise(1, 2, 2, 1).withMetadata(ImageMetadata.NONE.withTexts(Map.of(name, "text")));
    assertThatThrownBy(() -> PngCodec.encode(picture))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("cannot hold a text named");
  }

  @Test
  void refusesACompressedTextThatGrowsWithoutBound() {
    Deflater deflater = new Deflater();
    deflater.setInput(new byte[64 << 20]);
    deflater.finish();
    byte[] packed = new byte[1 << 20];
    int length = deflater.deflate(packed);
    assertThat(deflater.finished()).isTrue();
    deflater.end();
    byte[] data =
        ByteBuffer.allocate(length + 3).put(new byte[] {'a', 0, 0}).put(packed, 0, length).array();
    assertThatThrownBy(() -> PngCodec.decode(withBlock("zTXt", data)))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("more than 1048576 bytes");
  }

  @Test
  void readsCompressedTexts() {
    Deflater deflater = new Deflater();
    deflater.setInput("\u82f9\u679c".getBytes(StandardCharsets.UTF_8));
    deflater.finish();
    byte[] packed = new byte[100];
    int length = deflater.deflate(packed);
    deflater.end();
    byte[] data =
        ByteBuffer.allocate(length + 6)
            .put(new byte[] {'a', 0, 1, 0, 0, 0})
            .put(packed, 0, length)
            .array();
    assertThat(PngCodec.decode(withBlock("iTXt", data)).metadata().texts())
        .containsExactly(Map.entry("a", "\u82f9\u679c"));
    byte[] cut = Arrays.copyOf(data, data.length - 3);
    assertThatThrownBy(() -> PngCodec.decode(withBlock("iTXt", cut)))
        .hasMessageContaining("'a' is cut off");
  }

  private static byte[] withBlock(String type, byte[] data) {
    byte[] png = PngCodec.encode(noise(1, 2, 2, 1));
    CRC32 crc = new CRC32();
    crc.update(type.getBytes(StandardCharsets.US_ASCII));
    crc.update(data);
    return ByteBuffer.allocate(png.length + data.length + 12)
        .put(png, 0, 33)
        .putInt(data.length)
        .put(type.getBytes(StandardCharsets.US_ASCII))
        .put(data)
        .putInt((int) crc.getValue())
        .put(png, 33, png.length - 33)
        .array();
  }

  @Test
  void refusesNumbersThatAPngFileCanNotHold() {
    assertThatThrownBy(() -> PngCodec.encode(noise(1, 2, 2, 1).storedAs(SampleType.FLOAT32)))
        .hasMessageContaining("type FLOAT32");
    PixelFormat measured = PixelFormat.of(Bands.MEASUREMENTS, SampleType.UINT16);
    assertThatThrownBy(() -> PngCodec.encode(noise(4, 2, 2, 1).withFormat(measured)))
        .hasMessageContaining("opacity");
    Raster negative =
        noise(1, 2, 2, 1).withFormat(PixelFormat.ofPicture(1).withRange(new ValueRange(255, 0)));
    assertThatThrownBy(() -> PngCodec.encode(negative)).hasMessageContaining("255.0..0.0");
  }

  @Test
  void rasterChecksItsSizes() {
    assertThatThrownBy(() -> new Raster(3, 2, 2, new float[11]))
        .hasMessageContaining("takes 12 values, not 11");
    assertThatThrownBy(() -> new Raster(0, 2, 2, new float[0])).hasMessageContaining("at least 1");
    assertThatThrownBy(
            () -> new Raster(Integer.MAX_VALUE, Integer.MAX_VALUE, Integer.MAX_VALUE, new float[1]))
        .isInstanceOf(ImageException.class);
    Raster picture = new Raster(2, 2, 3, new float[] {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
    assertThat(picture.at(1, 0, 2)).isEqualTo(8);
  }
}
