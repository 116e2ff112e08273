/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A volume of 7 x 5 x 4 voxels from the left, the back and below, stored in different orders:
 * {@code src/test/python/make_nifti_fixtures.py}.
 */
class NiftiTest {
  @TempDir Path folder;

  private static byte[] fixture(String name) {
    try (InputStream in = NiftiTest.class.getResourceAsStream("/fixtures/nifti/" + name)) {
      return in.readAllBytes();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static double value(int fromLeft, int fromBack, int fromBelow, int time) {
    return 1 + fromLeft + 10 * fromBack + 100 * fromBelow + 1000 * time;
  }

  /** A value, which of floats is as near as a raster has it. */
  private static double at(Raster slice, int y, int x) {
    double value = slice.format().sample(slice.at(0, y, x));
    return slice.format().type().isInteger() ? value : Math.rint(value * 1e5) / 1e5;
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "RAS.nii",
        "LPS.nii",
        "PIR.nii",
        "SAL.nii",
        "LPS-qform.nii.gz",
        "ASL-2.nii",
        "big-endian.nii",
        "oblique.nii",
        "calibrated.nii"
      })
  void howAVolumeIsStoredMakesNoDifference(String name) throws IOException {
    byte[] file = fixture(name);
    Path path = Files.write(folder.resolve("volume"), file);
    for (int z = 0; z < 4; z++) {
      Raster axial = Images.read(file, ReadOptions.DEFAULT.withPage(z));
      assertThat(axial.width()).isEqualTo(7);
      assertThat(axial.height()).isEqualTo(5);
      for (int y = 0; y < 5; y++) {
        for (int x = 0; x < 7; x++) {
          assertThat(at(axial, y, x)).isEqualTo(value(x, 4 - y, z, 0));
        }
      }
      assertThat(Images.read(path, ReadOptions.DEFAULT.withPage(z))).isEqualTo(axial);
    }
    for (int y = 0; y < 5; y++) {
      Raster coronal =
          Images.read(file, ReadOptions.DEFAULT.withPlane(SlicePlane.CORONAL).withPage(y));
      assertThat(coronal.width()).isEqualTo(7);
      assertThat(coronal.height()).isEqualTo(4);
      assertThat(at(coronal, 0, 0)).isEqualTo(value(0, y, 3, 0));
      assertThat(at(coronal, 3, 6)).isEqualTo(value(6, y, 0, 0));
      assertThat(at(coronal, 1, 2)).isEqualTo(value(2, y, 2, 0));
    }
    for (int x = 0; x < 7; x++) {
      Raster sagittal =
          Images.read(file, ReadOptions.DEFAULT.withPlane(SlicePlane.SAGITTAL).withPage(x));
      assertThat(sagittal.width()).isEqualTo(5);
      assertThat(sagittal.height()).isEqualTo(4);
      assertThat(at(sagittal, 0, 0)).isEqualTo(value(x, 4, 3, 0));
      assertThat(at(sagittal, 3, 4)).isEqualTo(value(x, 0, 0, 0));
      assertThat(at(sagittal, 2, 1)).isEqualTo(value(x, 3, 1, 0));
    }
  }

  @Test
  void spacingIsThatOfThePlane() {
    byte[] file = fixture("PIR.nii");
    assertThat(Images.read(file, ReadOptions.DEFAULT).metadata().spacing())
        .contains(new PixelSpacing(2, 3));
    assertThat(
            Images.read(file, ReadOptions.DEFAULT.withPlane(SlicePlane.SAGITTAL))
                .metadata()
                .spacing())
        .contains(new PixelSpacing(3, 4));
  }

  @Test
  void volumesFollowEachOther() {
    byte[] file = fixture("four.nii.gz");
    for (int page = 0; page < 12; page++) {
      Raster slice = Images.read(file, ReadOptions.DEFAULT.withPage(page));
      assertThat(at(slice, 4, 0)).isEqualTo(value(0, 0, page % 4, page / 4));
      assertThat(at(slice, 0, 6)).isEqualTo(value(6, 4, page % 4, page / 4));
      assertThat(slice.metadata().texts())
          .containsEntry("Slice", page % 4 + 1 + " of 4, axial")
          .containsEntry("Volume", page / 4 + 1 + " of 3");
    }
    assertThatThrownBy(() -> Images.read(file, ReadOptions.DEFAULT.withPage(12)))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("Slice 12 of a NIfTI file that has 12, counted from 0");
  }

  @Test
  void theWindowIsTheHeadersElseTheSlicesAndTheResultSaysWhich() {
    Raster calibrated = Images.read(fixture("calibrated.nii"), ReadOptions.DEFAULT);
    assertThat(calibrated.format().range()).isEqualTo(new ValueRange(100, 300));
    assertThat(calibrated.metadata().texts())
        .containsEntry("Window", "100.0 to 300.0 (cal_min and cal_max of the header)");
    Raster own = Images.read(fixture("RAS.nii"), ReadOptions.DEFAULT);
    // Of 35 values from 1 to 47, all but the ends.
    assertThat(own.format().range()).isEqualTo(new ValueRange(1, 47));
    assertThat(own.metadata().texts())
        .containsEntry("Window", "1.0 to 47.0 (1st and 99th percentile of the slice)");
    assertThat(
            Images.read(fixture("calibrated.nii"), ReadOptions.DEFAULT.withRangeGiven())
                .metadata()
                .texts())
        .doesNotContainKey("Window");
    // Case D9: what a scanner gives as 0 to 600 of 65536 numbers is not flat gray.
    assertThat(own.data()).contains(0f, 1f);
  }

  @Test
  void colorsAreColors() {
    Raster slice = Images.read(fixture("rgb.nii"), ReadOptions.DEFAULT.withPage(2));
    assertThat(slice.format()).isEqualTo(PixelFormat.of(Bands.RGB, SampleType.UINT8));
    assertThat(slice.format().sample(slice.at(0, 4, 3))).isEqualTo(30);
    assertThat(slice.format().sample(slice.at(1, 1, 3))).isEqualTo(30);
    assertThat(slice.format().sample(slice.at(2, 1, 3))).isEqualTo(20);
  }

  @Test
  void aVolumeWithoutOrientationSaysSo() {
    byte[] file = fixture("RAS.nii");
    ByteBuffer header = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    header.putShort(252, (short) 0).putShort(254, (short) 0);
    Raster slice = Images.read(file, ReadOptions.DEFAULT);
    assertThat(slice.metadata().texts())
        .containsEntry("Slice", "1 of 4, axial, orientation not given");
  }

  @Test
  void aPackedFileOfTooManyVoxelsIsRefusedByItsHeader() throws IOException {
    byte[] file = fixture("RAS.nii");
    ByteBuffer header = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    for (int axis = 0; axis < 3; axis++) {
      header.putShort(42 + 2 * axis, (short) 4000);
    }
    ByteArrayOutputStream packed = new ByteArrayOutputStream();
    try (GZIPOutputStream out = new GZIPOutputStream(packed)) {
      out.write(file);
    }
    assertThatThrownBy(() -> Images.read(packed.toByteArray(), ReadOptions.DEFAULT))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("at most 4294967296 bytes of voxels");
  }

  @Test
  void aSizeWithASignIsTakenWithoutItAsNibabelDoes() throws IOException {
    byte[] file =
        new GZIPInputStream(new ByteArrayInputStream(fixture("LPS-qform.nii.gz"))).readAllBytes();
    Raster expected = Images.read(file, ReadOptions.DEFAULT.withPage(1));
    ByteBuffer header = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    for (int axis = 1; axis <= 3; axis++) {
      header.putFloat(76 + 4 * axis, -header.getFloat(76 + 4 * axis));
    }
    assertThat(Images.read(file, ReadOptions.DEFAULT.withPage(1))).isEqualTo(expected);
  }

  @Test
  void anAxisWithoutADirectionIsRefused() {
    byte[] file = fixture("RAS.nii");
    ByteBuffer header = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    header.putFloat(280, 0);
    assertThatThrownBy(() -> Images.read(file, ReadOptions.DEFAULT))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("axis 0 has the direction [0.0, 0.0, 0.0]");
  }
}
