/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.zip.CRC32;
import java.util.zip.DeflaterOutputStream;
import org.junit.jupiter.api.Test;

/** What comes from outside is a picture or one clear exception, whatever its bytes. */
class BadFilesTest {
  private static final int CUT = 60;
  private static final int FLIPPED = 80;

  private static final ReadOptions SMALL =
      ReadOptions.DEFAULT.withLimits(new ImageLimits(4096, 1 << 20, 16, 16 << 20));

  private static List<byte[]> files() {
    List<byte[]> files = new ArrayList<>();
    for (String name : List.of("color.jpg", "progressive.jpg", "gray.jpg", "cmyk.jpg")) {
      files.add(FormatsParityTest.fixture(name));
    }
    for (String name :
        List.of("ct.dcm", "implicit.dcm", "bytes-inverted.dcm", "plain.nii", "packed.nii.gz")) {
      files.add(FormatsParityTest.fixture(name));
    }
    for (String name :
        List.of("geo-tiles", "rgb", "uint16-strips-lzw-predictor", "uint8-packbits", "palette")) {
      files.add(TiffParityTest.fixture(name + ".tif"));
    }
    for (String name : List.of("float32-predictor", "uint16-big-endian-bigtiff", "cmyk", "jpeg")) {
      files.add(TiffParityTest.fixture(name + ".tif"));
    }
    files.add(PngCodec.encode(PngCodecTest.noise(3, 20, 20, 1)));
    files.add(PngCodec.encode(PngCodecTest.noise(1, 20, 20, 1).storedAs(SampleType.UINT16)));
    return files;
  }

  @Test
  void aDamagedFileIsAPictureOrOneClearException() {
    Random random = new Random(11);
    int cases = 0;
    int refused = 0;
    for (byte[] file : files()) {
      for (int i = 0; i < CUT; i++, cases++) {
        refused += isRefused(Arrays.copyOf(file, random.nextInt(file.length)));
      }
      for (int i = 0; i < FLIPPED; i++, cases++) {
        byte[] damaged = file.clone();
        // Most of the damage where the claims are; several bits at once now and then.
        int reach = i % 2 == 0 ? Math.min(file.length, 400) : file.length;
        for (int flips = 0; flips <= i % 4; flips++) {
          damaged[random.nextInt(reach)] ^= (byte) (1 << random.nextInt(8));
        }
        refused += isRefused(withRightChecksums(damaged));
      }
    }
    assertThat(cases).isGreaterThanOrEqualTo(2_000);
    assertThat(refused).isGreaterThan(cases / 3);
  }

  /** 1 if it is refused, 0 if it is read; anything else fails the test. */
  private static int isRefused(byte[] file) {
    try {
      Raster picture = Images.read(file, SMALL);
      assertThat(picture.width()).isPositive();
      return 0;
    } catch (ImageException e) {
      assertThat(e.getMessage()).isNotBlank();
      return 1;
    } catch (RuntimeException | Error e) {
      throw new AssertionError(
          "A damaged file of %d bytes that begins with %s"
              .formatted(file.length, Arrays.toString(Arrays.copyOf(file, 16))),
          e);
    }
  }

  /** Beyond its checksums, a PNG file is what its blocks say. */
  private static byte[] withRightChecksums(byte[] file) {
    if (!PngHeader.hasSignature(file)) {
      return file;
    }
    byte[] png = file.clone();
    ByteBuffer bytes = ByteBuffer.wrap(png);
    for (int at = 8; at + 12 <= png.length; ) {
      int length = bytes.getInt(at);
      if (length < 0 || length > png.length - at - 12) {
        break;
      }
      CRC32 crc = new CRC32();
      crc.update(png, at + 4, length + 4);
      bytes.putInt(at + 8 + length, (int) crc.getValue());
      at += 12 + length;
    }
    return png;
  }

  @Test
  void aPictureOfBillionsOfPixelsInAFewBytesIsRefusedByItsHeader() throws Exception {
    ByteArrayOutputStream rows = new ByteArrayOutputStream();
    try (DeflaterOutputStream deflater = new DeflaterOutputStream(rows)) {
      byte[] row = new byte[1 + 50_000];
      for (int y = 0; y < 1_000; y++) {
        deflater.write(row);
      }
    }
    ByteArrayOutputStream png = new ByteArrayOutputStream();
    png.write(new byte[] {(byte) 0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'});
    block(
        png,
        "IHDR",
        ByteBuffer.allocate(13)
            .putInt(50_000)
            .putInt(50_000)
            .put(new byte[] {8, 0, 0, 0, 0})
            .array());
    block(png, "IDAT", rows.toByteArray());
    block(png, "IEND", new byte[0]);
    assertThatThrownBy(() -> Images.read(png.toByteArray(), ReadOptions.DEFAULT))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("50000 x 50000 pixels");
  }

  private static void block(ByteArrayOutputStream png, String type, byte[] data) {
    CRC32 crc = new CRC32();
    crc.update(type.getBytes(StandardCharsets.US_ASCII));
    crc.update(data);
    png.writeBytes(ByteBuffer.allocate(4).putInt(data.length).array());
    png.writeBytes(type.getBytes(StandardCharsets.US_ASCII));
    png.writeBytes(data);
    png.writeBytes(ByteBuffer.allocate(4).putInt((int) crc.getValue()).array());
  }
}
