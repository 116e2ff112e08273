/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.imaging.Scene;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Files of 64 x 64 pixels whose stored values are 0 to 4095 in order, each odd in one way. */
class DicomCasesTest {
  @TempDir Path folder;

  static byte[] fixture(String name) {
    try (InputStream in = DicomCasesTest.class.getResourceAsStream("/fixtures/dicom/" + name)) {
      return in.readAllBytes();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static void assertValues(Raster slice, double slope, double intercept) {
    assertThat(slice.width()).isEqualTo(64);
    assertThat(slice.height()).isEqualTo(64);
    for (int i = 0; i < 4096; i++) {
      assertThat(slice.format().sample(slice.data()[i]))
          .isEqualTo(i * slope + intercept, within(1e-3));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"dicom-plain", "dicom-tiff-preamble", "dicom-and-tiff"})
  void aDicomFileWhosePreambleIsATiffFilesIsADicomFileToAll(String name) throws IOException {
    byte[] file = fixture(name + ".dcm");
    Path path = Files.write(folder.resolve(name), file);

    assertThat(Images.mediaType(file)).contains("application/dicom");
    assertValues(Images.read(file, ReadOptions.DEFAULT), 2, -1024);
    assertValues(Images.read(path, ReadOptions.DEFAULT), 2, -1024);
    assertThat(Scene.isReadByParts(file)).isFalse();
    assertThat(Scene.size(path, ReadOptions.DEFAULT).extent()).isEqualTo("64 x 64 pixels");
    try (Scene scene = Scene.open(path, ReadOptions.DEFAULT, 1 << 20)) {
      assertThat(scene.mediaType()).isEqualTo("application/dicom");
      assertValues(scene.read(new Window(0, 0, 64, 64)), 2, -1024);
    }
  }

  @Test
  void aFileWithoutPreambleIsRecognisedByItsFirstElements() {
    byte[] file = fixture("dicom-plain.dcm");
    assertValues(
        Images.read(Arrays.copyOfRange(file, 132, file.length), ReadOptions.DEFAULT), 2, -1024);
    assertThat(ImageKind.of(new byte[] {8, 0, 5, 0})).isEmpty();
    assertThat(ImageKind.of(new byte[1000])).isEmpty();
    byte[] words = "Some text, not an image file at all, and long enough. ".repeat(9).getBytes();
    assertThat(ImageKind.of(words)).isEmpty();
  }

  @Test
  void aModalityTableGivesTheNumbers() {
    Raster slice = Images.read(fixture("dicom-modality-lut.dcm"), ReadOptions.DEFAULT);
    assertValues(slice, 10, 0);
  }

  @Test
  void aSigmoidWindowIsASigmoid() {
    Raster slice = Images.read(fixture("dicom-voi-sigmoid.dcm"), ReadOptions.DEFAULT);
    for (int i = 0; i < 4096; i++) {
      double value = 2 * i - 1024;
      assertThat(slice.data()[i])
          .isEqualTo((float) (1 / (1 + Math.exp(-4 * (value - 40) / 400))), within(1e-6f));
    }
    assertThat(slice.metadata().texts()).containsEntry("VOI", "SIGMOID, center 40.0, width 400.0");
  }

  @Test
  void whereTheRangeIsGivenNumbersStayTheDevices() {
    Raster slice =
        Images.read(fixture("dicom-voi-sigmoid.dcm"), ReadOptions.DEFAULT.withRangeGiven());
    assertValues(slice, 2, -1024);
    assertThat(slice.metadata().texts()).doesNotContainKey("VOI");
    assertThat(slice.over(new ValueRange(-160, 240)).data()[512])
        .isEqualTo((float) (160 / 400.0), within(1e-6f));
  }

  @Test
  void aSpacingOfZeroIsUnknown() {
    Raster slice = Images.read(fixture("dicom-zero-spacing.dcm"), ReadOptions.DEFAULT);
    assertValues(slice, 2, -1024);
    assertThat(slice.metadata().spacing()).isEmpty();
  }

  @Test
  void aJpegFileOfTwelveBitsIsReadAsTheFrameOfADicomFileThatItIs() throws Exception {
    byte[] dicom = fixture("extended-u12.dcm");
    int begin = 0;
    while ((dicom[begin] & 0xFF) != 0xFF
        || (dicom[begin + 1] & 0xFF) != 0xD8
        || (dicom[begin + 2] & 0xFF) != 0xFF) {
      begin++;
    }
    byte[] jpeg = Arrays.copyOfRange(dicom, begin, dicom.length);
    Raster read = Images.read(jpeg, ReadOptions.DEFAULT);
    DicomSamples stored = DicomFile.open(DicomSource.of(dicom), Integer.MAX_VALUE).stored(0);
    for (int i = 0; i < read.data().length; i++) {
      assertThat(Math.round(read.format().sample(read.data()[i])))
          .isEqualTo((int) stored.at(i, false));
    }
    assertThat(read.format().range()).isEqualTo(new ValueRange(0, 4095));
    assertThat(DecodedSize.of(jpeg, jpeg.length, ImageLimits.DEFAULT).pixels())
        .isEqualTo(read.data().length);
    jpeg[find(jpeg, 0xC1) + 1] = (byte) 0xC2;
    assertThatThrownBy(() -> Images.read(jpeg, ReadOptions.DEFAULT))
        .hasMessageContaining("gray extended (C1) with 12");
  }

  private static int find(byte[] jpeg, int marker) {
    int at = 0;
    while ((jpeg[at] & 0xFF) != 0xFF || (jpeg[at + 1] & 0xFF) != marker) {
      at++;
    }
    return at;
  }
}
