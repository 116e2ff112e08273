/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Files in every transfer syntax, whose stored values follow a formula: {@code
 * src/test/python/make_dicom_fixtures.py}.
 */
class DicomSyntaxesTest {
  private static final int ROWS = 29;
  private static final int COLUMNS = 37;

  /** As {@code values} of the script. */
  private static double value(int bits, int frame, int channel, int x, int y) {
    long noise = (x + 31L * y + 7L * frame + 3L * channel) * 2654435761L >> 9 & 7;
    long level =
        Math.floorDiv(
                ((long) x * x + 5L * y + 11L * frame + 17L * channel)
                    * (1L << Math.max(0, bits - 8)),
                8)
            + noise;
    if (x > 20 && y > 10 && y < 20) {
      level = (1L << bits) / 3;
    }
    return Math.floorMod(level, 1L << bits);
  }

  private static double smooth(int bits, int channel, int x, int y) {
    return (x * 3 + y * 2 + 20 * channel) * (1 << bits - 8);
  }

  private interface Formula {
    double at(int channel, int x, int y);
  }

  private static Raster read(String name, int frame) {
    return Images.read(DicomCasesTest.fixture(name + ".dcm"), ReadOptions.DEFAULT.withPage(frame));
  }

  private static void assertValues(Raster image, int channels, double tolerance, Formula formula) {
    assertThat(image.channels()).isEqualTo(channels);
    assertThat(image.height()).isEqualTo(ROWS);
    assertThat(image.width()).isEqualTo(COLUMNS);
    for (int c = 0; c < channels; c++) {
      for (int y = 0; y < ROWS; y++) {
        for (int x = 0; x < COLUMNS; x++) {
          assertThat(image.format().sample(image.at(c, y, x)))
              .as("channel %d at (%d, %d)", c, x, y)
              .isEqualTo(formula.at(c, x, y), within(tolerance));
        }
      }
    }
  }

  private static int bits(String name) {
    return Integer.parseInt(name.replaceAll(".*[us]|rgb|\\D+", ""));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "implicit-u12",
        "explicit-u12",
        "deflated-u12",
        "big-u12",
        "encapsulated-u12",
        "rle-u12",
        "lossless-1-u12",
        "lossless-2-u12",
        "lossless-3-u12",
        "lossless-4-u12",
        "lossless-5-u12",
        "lossless-6-u12",
        "lossless-7-u12",
        "lossless-u16",
        "jls-u8",
        "jls-u12",
        "jls-u16",
        "j2k-u8",
        "j2k-u12",
        "j2k-u16",
        "j2k-tiles-u8",
        "overlay"
      })
  void readsGrayValuesOfEachLosslessSyntax(String name) {
    int bits = name.equals("overlay") ? 12 : bits(name);
    assertValues(read(name, 0), 1, 0, (c, x, y) -> value(bits, 0, 0, x, y));
  }

  @ParameterizedTest
  @ValueSource(strings = {"explicit-s12", "lossless-s16", "j2k-s16"})
  void readsSignedValues(String name) {
    int bits = bits(name);
    assertValues(read(name, 0), 1, 0, (c, x, y) -> value(bits, 0, 0, x, y) - (1 << bits - 1));
  }

  @Test
  void readsWholeNumbersOf32BitsAsFloats() {
    assertValues(read("explicit-u32", 0), 1, 256, (c, x, y) -> value(32, 0, 0, x, y));
    assertValues(read("explicit-s32", 0), 1, 256, (c, x, y) -> value(32, 0, 0, x, y) - (1L << 31));
  }

  @ParameterizedTest
  @ValueSource(strings = {"explicit-float", "explicit-double"})
  void readsFloatingPointPixels(String name) {
    assertValues(read(name, 0), 1, 1e-7, (c, x, y) -> value(12, 0, 0, x, y) / 4096);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "implicit-rgb8",
        "explicit-rgb8",
        "deflated-rgb8",
        "big-rgb8",
        "explicit-rgb8-planar",
        "rle-rgb8",
        "lossless-rgb8",
        "jls-rgb8",
        "j2k-rgb8",
        "j2k-LRCP-rgb8",
        "j2k-RLCP-rgb8",
        "j2k-RPCL-rgb8",
        "j2k-PCRL-rgb8",
        "j2k-CPRL-rgb8"
      })
  void readsColor(String name) {
    Raster image = read(name, 0);
    assertThat(image.format()).isEqualTo(PixelFormat.of(Bands.RGB, SampleType.UINT8));
    assertValues(image, 3, 0, (c, x, y) -> value(8, 0, c, x, y));
  }

  @Test
  void readsColorOf16Bits() {
    assertValues(read("explicit-rgb16", 0), 3, 0, (c, x, y) -> value(16, 0, c, x, y));
  }

  @ParameterizedTest
  @ValueSource(strings = {"explicit-palette", "explicit-palette-segmented"})
  void aPaletteIsApplied(String name) {
    boolean segmented = name.endsWith("segmented");
    assertValues(
        read(name, 0),
        3,
        0,
        (c, x, y) -> {
          int index = (int) value(8, 0, 0, x, y);
          return segmented ? index * (c + 1) : index * (c + 1) % 256 * 256;
        });
  }

  @Test
  void brightnessAndColorDifferencesBecomeRgb() {
    assertValues(
        read("explicit-ybr", 0),
        3,
        1,
        (c, x, y) -> {
          double luma = value(8, 0, 0, x, y);
          double cb = value(8, 0, 1, x, y) - 128;
          double cr = value(8, 0, 2, x, y) - 128;
          double color =
              switch (c) {
                case 0 -> luma + 1.402 * cr;
                case 1 -> luma - 0.344136 * cb - 0.714136 * cr;
                default -> luma + 1.772 * cb;
              };
          return Math.max(0, Math.min(255, color));
        });
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "explicit-frames",
        "rle-frames",
        "jls-frames-table",
        "jls-frames-no-table",
        "jls-frames-extended-table"
      })
  void aPageIsAFrame(String name) {
    for (int frame = 0; frame < 3; frame++) {
      int f = frame;
      Raster image = read(name, frame);
      assertValues(image, 1, 0, (c, x, y) -> value(12, f, 0, x, y));
      assertThat(image.metadata().texts()).containsEntry("Frame", frame + 1 + " of 3");
    }
    assertThatThrownBy(() -> read(name, 3))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("Frame 3 of a DICOM file that has 3, counted from 0");
  }

  @Test
  void framesOfSingleBitsFollowWithoutAGap() {
    for (int frame = 0; frame < 3; frame++) {
      int f = frame;
      assertValues(read("explicit-u1-frames", frame), 1, 0, (c, x, y) -> value(1, f, 0, x, y));
    }
  }

  @Test
  void framesHaveTheirOwnRescaleWindowAndSpacing() {
    for (int frame = 0; frame < 3; frame++) {
      int f = frame;
      Raster image = read("enhanced", frame);
      assertValues(image, 1, 0, (c, x, y) -> value(12, f, 0, x, y) * (f + 1) - 100 * f);
      double center = 100 * (frame + 1);
      assertThat(image.format().range()).isEqualTo(new ValueRange(center - 100, center + 99));
      assertThat(image.metadata().spacing()).contains(new PixelSpacing(0.25, 0.5));
    }
  }

  @Test
  void anExactWindowHasItsWidth() {
    Raster image = read("explicit-exact-window", 0);
    assertThat(image.format().range()).isEqualTo(new ValueRange(200, 1000));
    assertValues(image, 1, 0, (c, x, y) -> value(12, 0, 0, x, y));
  }

  @Test
  void aTableOfWhatIsDisplayedIsApplied() {
    Raster image = read("explicit-voi-lut", 0);
    assertValues(image, 1, 0, (c, x, y) -> 4095 - value(12, 0, 0, x, y));
    assertThat(image.metadata().texts()).containsEntry("VOI", "LUT of 4096 entries from 0");
  }

  @Test
  void whatWasNotMeasuredHoldsNoData() {
    Raster image = read("padding", 0);
    assertThat(image.format().noData()).hasValue(-1024);
    NoDataMask mask = image.noData().orElseThrow();
    for (int i = 0; i < ROWS * COLUMNS; i++) {
      double stored = value(12, 0, 0, i % COLUMNS, i / COLUMNS);
      assertThat(mask.isMissing(i)).isEqualTo(stored <= 99);
      if (stored > 99) {
        assertThat(image.format().sample(image.data()[i])).isEqualTo(stored - 1024);
      }
    }
  }

  @Test
  void nearLosslessIsAsNearAsItSays() {
    assertValues(read("jls-near-u8", 0), 1, 3, (c, x, y) -> value(8, 0, 0, x, y));
    assertValues(read("jls-near-u12", 0), 1, 2, (c, x, y) -> value(12, 0, 0, x, y));
  }

  @Test
  void lossySyntaxesComeClose() {
    assertValues(read("baseline-u8", 0), 1, 2, (c, x, y) -> smooth(8, c, x, y));
    assertValues(read("baseline-rgb8", 0), 3, 5, (c, x, y) -> smooth(8, c, x, y));
    assertValues(read("extended-u12", 0), 1, 24, (c, x, y) -> smooth(12, c, x, y));
    assertValues(read("j2k-lossy-u8", 0), 1, 2, (c, x, y) -> smooth(8, c, x, y));
    assertValues(read("j2k-lossy-rgb8", 0), 3, 3, (c, x, y) -> smooth(8, c, x, y));
  }

  /** Of a file with many frames, the one that is asked for is read, and little else. */
  @ParameterizedTest
  @ValueSource(strings = {"explicit-frames", "jls-frames-extended-table"})
  void aFrameIsReadWithoutTheOthers(String name, @TempDir Path folder) throws IOException {
    byte[] file = DicomCasesTest.fixture(name + ".dcm");
    Path path = Files.write(folder.resolve("frames.dcm"), file);
    try (SeekableByteChannel channel = Files.newByteChannel(path)) {
      DicomFile frames = DicomFile.open(new DicomSource(channel), 1 << 20);
      assertThat(frames.inflatedBytes()).isZero();
      assertThat(frames.stored(2).whole()).hasSize(ROWS * COLUMNS);
    }
    // Its last frame is cut off, which says nothing of the first.
    byte[] cut = Arrays.copyOf(file, file.length - 200);
    if (name.startsWith("explicit")) {
      assertValues(Images.read(cut, ReadOptions.DEFAULT), 1, 0, (c, x, y) -> value(12, 0, 0, x, y));
    }
    assertThatThrownBy(() -> Images.read(cut, ReadOptions.DEFAULT.withPage(2)))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("Truncated DICOM file");
  }

  @Test
  void anotherSyntaxIsRefusedByItsName() {
    byte[] file = DicomCasesTest.fixture("j2k-u8.dcm");
    byte[] other =
        new String(file, DicomDataSet.LATIN)
            .replace("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.93")
            .getBytes(DicomDataSet.LATIN);
    assertThatThrownBy(() -> Images.read(other, ReadOptions.DEFAULT))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("transfer syntax '1.2.840.10008.1.2.4.93'")
        .hasMessageContaining("JPEG 2000 lossless (1.2.840.10008.1.2.4.90)");
  }
}
