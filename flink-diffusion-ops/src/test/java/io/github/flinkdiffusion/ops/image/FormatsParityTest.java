/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Against Pillow, pydicom and nibabel: {@code src/test/python/make_format_fixtures.py}. */
class FormatsParityTest {

  static byte[] fixture(String name) {
    try (InputStream in =
        FormatsParityTest.class.getResourceAsStream("/fixtures/formats/" + name)) {
      return in.readAllBytes();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static JsonNode expected(String kind, String name) throws IOException {
    return new ObjectMapper().readTree(fixture("expected.json")).get(kind).get(name);
  }

  private static Raster read(String file) {
    return Images.read(fixture(file), ReadOptions.DEFAULT);
  }

  @ParameterizedTest
  @ValueSource(strings = {"color", "progressive", "gray"})
  void readsTheColorsThatPillowReads(String name) throws IOException {
    JsonNode rows = expected("jpeg", name);
    Raster picture = read(name + ".jpg");
    assertThat(picture.channels()).isEqualTo(rows.get(0).get(0).size());
    for (int y = 0; y < picture.height(); y++) {
      for (int x = 0; x < picture.width(); x++) {
        for (int c = 0; c < picture.channels(); c++) {
          // Decoders may round differently.
          assertThat(picture.at(c, y, x) * 255)
              .isEqualTo(rows.get(y).get(x).get(c).intValue(), within(2f));
        }
      }
    }
  }

  @Test
  void aJpegFileIsWrittenAsItLooks() {
    Raster picture = read("color.jpg");
    assertThat(picture.metadata().spacing().orElseThrow().x()).isEqualTo(0.1, within(1e-9));
    assertThat(picture.metadata().spacing().orElseThrow().y()).isEqualTo(0.2, within(1e-9));
    Raster again = Images.read(Images.write(picture, "image/jpeg"), ReadOptions.DEFAULT);
    double squares = 0;
    for (int i = 0; i < picture.data().length; i++) {
      squares += Math.pow(picture.data()[i] - again.data()[i], 2);
    }
    assertThat(Math.sqrt(squares / picture.data().length)).isLessThan(0.02);
    assertThat(read("cmyk.jpg").channels()).isEqualTo(3);
  }

  @ParameterizedTest
  @ValueSource(strings = {"ct", "implicit", "signed", "bytes-inverted"})
  void readsTheValuesThatPydicomReads(String name) throws IOException {
    JsonNode rows = expected("dicom", name);
    Raster slice = read(name + ".dcm");
    for (int y = 0; y < slice.height(); y++) {
      for (int x = 0; x < slice.width(); x++) {
        assertThat(slice.format().sample(slice.at(0, y, x)))
            .isEqualTo(rows.get(y).get(x).doubleValue(), within(1e-3));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"plain.nii", "packed.nii.gz", "scaled.nii.gz"})
  void readsTheSlicesThatNibabelReads(String name) throws IOException {
    JsonNode volume = expected("nifti", name);
    for (int z = 0; z < 3; z++) {
      Raster slice = Images.read(fixture(name), ReadOptions.DEFAULT.withPage(z));
      assertThat(slice.width()).isEqualTo(7);
      assertThat(slice.height()).isEqualTo(5);
      assertThat(slice.metadata().spacing()).contains(new PixelSpacing(2, 3));
      assertThat(slice.metadata().texts())
          .containsEntry("Slice", z + 1 + " of 3, axial")
          .allSatisfy((key, value) -> assertThat(value).doesNotContain("Doe"));
      for (int y = 0; y < 5; y++) {
        for (int x = 0; x < 7; x++) {
          assertThat(slice.format().sample(slice.at(0, 4 - y, x)))
              .isEqualTo(volume.get(x).get(y).get(z).doubleValue(), within(1e-4));
        }
      }
    }
    assertThatThrownBy(() -> Images.read(fixture(name), ReadOptions.DEFAULT.withPage(3)))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("that has 3");
  }

  @Test
  void theWindowIsTheRange() {
    Raster slice = read("ct.dcm");
    assertThat(slice.format().range()).isEqualTo(new ValueRange(-160, 239));
    assertThat(slice.format().type()).isEqualTo(SampleType.INT16);
    assertThat(slice.metadata().spacing()).contains(new PixelSpacing(0.5, 0.7));
    assertThat(read("signed.dcm").format().range()).isEqualTo(new ValueRange(-32768, 32767));
    assertThat(read("bytes-inverted.dcm").format().range()).isEqualTo(new ValueRange(130.5, 3));
    assertThat(read("bytes-inverted.dcm").data()[0]).as("0 is bright").isOne();
  }

  @ParameterizedTest
  @ValueSource(strings = {"ct", "implicit", "signed"})
  void nothingOfAPatientReachesAResultUnlessAsked(String name) {
    Raster slice = read(name + ".dcm");
    assertThat(slice.metadata().texts()).containsOnlyKeys("Modality", "SliceThickness");
    byte[] result = Images.write(slice.storedAs(SampleType.UINT16), "image/tiff");
    assertThat(new String(result, StandardCharsets.ISO_8859_1))
        .doesNotContain("Doe", "4711", "20240102", "Example Hospital");
  }

  @Test
  void whoAsksGetsAPatientsData() {
    Raster slice = Images.read(fixture("ct.dcm"), ReadOptions.DEFAULT.withPatientData());
    assertThat(slice.metadata().texts())
        .containsEntry("dicom.00100010", "Doe^Jane")
        .containsEntry("dicom.00100020", "4711");
  }

  @Test
  void aFileIsWhatItsBytesSay() {
    assertThat(Images.mediaType(fixture("ct.dcm"))).contains("application/dicom");
    assertThat(Images.mediaType(fixture("gray.jpg"))).contains("image/jpeg");
    assertThat(Images.mediaType(TiffParityTest.fixture("rgb.tif"))).contains("image/tiff");
    assertThat(Images.mediaType(new byte[0])).isEmpty();
    assertThatThrownBy(() -> Images.read(new byte[] {71, 73, 70}, ReadOptions.DEFAULT))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining(
            "none of image/png, image/jpeg, image/tiff, image/webp, image/gif, image/bmp");
  }
}
