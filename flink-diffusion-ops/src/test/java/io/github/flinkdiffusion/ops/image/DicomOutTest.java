/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * DICOM and NIfTI files that are written; {@code src/test/python/check_dicom_out.py} shows them to
 * pydicom, highdicom, nibabel and dciodvfy.
 */
class DicomOutTest {
  private static final String DICOM = "application/dicom";
  private static final String NIFTI = "application/x-nifti";

  private static Raster source(String name, ReadOptions options) {
    Raster source = Images.read(DicomCasesTest.fixture(name + ".dcm"), options);
    return source.withMetadata(
        source.metadata().withTexts(Map.of("diffusion-audit", "{\"model\":\"é\"}")));
  }

  private static Raster read(byte[] file) {
    return Images.read(file, ReadOptions.DEFAULT.withPatientData());
  }

  private static void assertSameValues(Raster actual, Raster expected) {
    assertThat(actual.height()).isEqualTo(expected.height());
    assertThat(actual.noData()).isEqualTo(expected.noData());
    for (int i = 0; i < expected.data().length; i++) {
      if (expected.noData().isEmpty() || !expected.noData().get().isMissing(i)) {
        assertThat(actual.format().sample(actual.data()[i]))
            .isEqualTo(expected.format().sample(expected.data()[i]));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"placed", "padding", "explicit-u12", "explicit-s12", "dicom-plain"})
  void aDerivedImageHasTheValuesWindowTextsAndPlaceOfItsRaster(String name) {
    Raster source = source(name, ReadOptions.DEFAULT);
    byte[] file = Images.write(source, DICOM);
    Raster result = read(file);
    assertSameValues(result, source);
    assertThat(result.format().range().low())
        .isEqualTo(source.format().range().low(), within(1e-9));
    assertThat(result.format().range().high())
        .isEqualTo(source.format().range().high(), within(1e-9));
    assertThat(result.metadata().texts()).containsEntry("diffusion-audit", "{\"model\":\"é\"}");
    assertThat(result.metadata().spacing()).isEqualTo(source.metadata().spacing());
    assertThat(result.metadata().medical().orElseThrow().place())
        .isEqualTo(source.metadata().medical().orElseThrow().place());
    assertThat(Images.write(source, DICOM)).isEqualTo(file);
  }

  @Test
  void aLargerImageBeginsWhereItsSourceDoes() {
    Raster source = source("placed", ReadOptions.DEFAULT);
    Raster twice = read(Images.write(WriteMedicalFiles.twice(source), DICOM));
    assertThat(twice.metadata().spacing()).contains(new PixelSpacing(0.25, 0.375));
    // The corner is half of a pixel before the first one's center: 0.25 and 0.375 mm of the
    // source's.
    SlicePlace.Vector corner = new SlicePlace.Vector(-10 - 0.125, 20 - 0.1875, 30);
    assertThat(twice.metadata().medical().orElseThrow().place().orElseThrow().position())
        .isEqualTo(corner);
    assertThat(source.crop(new Window(2, 3, 4, 4)).metadata().medical().orElseThrow().place())
        .contains(
            new SlicePlace(
                new SlicePlace.Vector(-10 + 1, 20 + 2.25, 30),
                new SlicePlace.Vector(1, 0, 0),
                new SlicePlace.Vector(0, 1, 0)));
  }

  @Test
  void floatsAreStoredIn65534StepsAndNeverAsNoData() {
    Raster source = source("explicit-float", ReadOptions.DEFAULT);
    Raster result = read(Images.write(source, DICOM));
    for (int i = 0; i < source.data().length; i++) {
      assertThat(result.format().range().value(result.data()[i]))
          .isEqualTo(source.format().range().value(source.data()[i]), within(1 / 65_000.0));
    }
  }

  @Test
  void withoutThePatientsDataNothingNamesThePatientOrTheStudy() {
    byte[] file = Images.write(source("placed", ReadOptions.DEFAULT), DICOM);
    String text = new String(file, StandardCharsets.ISO_8859_1);
    assertThat(text).doesNotContain("Doe", "4711", "20240102", "1.2.840.99999", "Example");
    assertThat(text).contains("113100", "Basic Application Confidentiality Profile");
    byte[] named = Images.write(source("placed", ReadOptions.DEFAULT.withPatientData()), DICOM);
    assertThat(new String(named, StandardCharsets.ISO_8859_1))
        .contains("Doe^Jane", "4711", "20240102", "1.2.840.99999.1")
        .doesNotContain("113100");
  }

  @Test
  void burnedInTextStaysAndIsSaidToIdentify() {
    Raster source = source("placed", ReadOptions.DEFAULT);
    MedicalSource medical = source.metadata().medical().orElseThrow();
    SortedMap<Integer, String> attributes = new TreeMap<>(medical.attributes());
    attributes.put(DicomHeader.BURNED_IN, "YES");
    Raster burned =
        source.withMetadata(
            source
                .metadata()
                .withMedical(new MedicalSource(medical.place(), attributes, medical.identified())));
    DicomDataSet image = set(Images.write(burned, DICOM));
    assertThat(image.text(DicomHeader.BURNED_IN)).contains("YES");
    assertThat(image.text(DicomHeader.IDENTITY_REMOVED)).contains("NO");
    assertThat(image.has(0x00120063)).isFalse();
    assertThat(image.has(0x00120064)).isFalse();

    DicomDataSet mask =
        set(
            DicomSegmentation.binary(
                source.width(),
                source.height(),
                List.of(
                    new DicomSegmentation.Segment(
                        "lesion", new float[source.width() * source.height()])),
                burned.metadata()));
    assertThat(mask.text(DicomHeader.IDENTITY_REMOVED)).as("a mask has no text").contains("YES");
    assertThat(mask.has(DicomHeader.BURNED_IN)).isFalse();
  }

  @Test
  void anotherResultHasAnotherNameInTheSameSeries() {
    Raster source = source("placed", ReadOptions.DEFAULT);
    DicomDataSet one = set(Images.write(source, DICOM));
    DicomDataSet other =
        set(
            Images.write(
                source.withMetadata(source.metadata().withTexts(Map.of("a", "b"))), DICOM));
    assertThat(one.text(DicomHeader.INSTANCE)).isNotEqualTo(other.text(DicomHeader.INSTANCE));
    assertThat(one.text(DicomHeader.SERIES)).isEqualTo(other.text(DicomHeader.SERIES));
    assertThat(one.text(DicomHeader.CLASS)).contains("1.2.840.10008.5.1.4.1.1.2");
    assertThat(one.item(0x00082112, 0).orElseThrow().text(0x00081150))
        .contains("1.2.840.10008.5.1.4.1.1.2");
  }

  private static DicomDataSet set(byte[] file) {
    return DicomFile.open(DicomSource.of(file), 1 << 20).set();
  }

  @Test
  void aSegmentationGivesTheMaskBackThatItWasMadeOf() {
    Raster source = source("placed", ReadOptions.DEFAULT);
    float[] inside = new float[source.width() * source.height()];
    for (int i = 0; i < inside.length; i++) {
      inside[i] = i % 3 == 0 ? 1 : 0;
    }
    float[] half = inside.clone();
    half[0] = 0.4f;
    byte[] file =
        DicomSegmentation.binary(
            source.width(),
            source.height(),
            List.of(
                new DicomSegmentation.Segment("Liver (10200004, SCT)", inside),
                new DicomSegmentation.Segment("lesion", half)),
            source.metadata());
    Raster first = Images.read(file, ReadOptions.DEFAULT);
    assertThat(first.data()).isEqualTo(inside);
    assertThat(Images.read(file, ReadOptions.DEFAULT.withPage(1)).data()[0]).isZero();
    assertThat(first.metadata().spacing()).isEqualTo(source.metadata().spacing());
    assertThat(first.metadata().medical().orElseThrow().place())
        .isEqualTo(source.metadata().medical().orElseThrow().place());
    DicomDataSet segment = set(file).item(0x00620002, 0).orElseThrow();
    assertThat(segment.text(0x00620005)).contains("Liver");
    assertThat(segment.item(0x0062000F, 0).orElseThrow().text(0x00080100)).contains("10200004");
    assertThat(sourceOfFirstFrame(file).text(DicomSegmentation.SPATIAL_LOCATIONS_PRESERVED))
        .contains("YES");
    Raster part = source.crop(new Window(1, 0, 2, 2));
    byte[] ofPart =
        DicomSegmentation.binary(
            2, 2, List.of(new DicomSegmentation.Segment("lesion", new float[4])), part.metadata());
    assertThat(sourceOfFirstFrame(ofPart).has(DicomSegmentation.SPATIAL_LOCATIONS_PRESERVED))
        .as("pixels of a part have other places than the source's")
        .isFalse();

    byte[] fractional =
        DicomSegmentation.fractional(
            source.width(),
            source.height(),
            List.of(new DicomSegmentation.Segment("lesion", half)),
            source.metadata());
    assertThat(Images.read(fractional, ReadOptions.DEFAULT).data()[0])
        .isEqualTo(102 / 255f, within(1e-6f));
  }

  private static DicomDataSet sourceOfFirstFrame(byte[] segmentation) {
    return set(segmentation)
        .item(DicomTag.PER_FRAME_GROUPS, 0)
        .flatMap(frame -> frame.item(0x00089124, 0))
        .flatMap(derivation -> derivation.item(0x00082112, 0))
        .orElseThrow();
  }

  @Test
  void anImageOfAnotherKindCannotBecomeADicomFile() {
    assertThatThrownBy(() -> Images.write(Raster.filled(1, 4, 4, 0.5f), DICOM))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("made of a DICOM or NIfTI image");
  }

  @ParameterizedTest
  @ValueSource(strings = {"placed", "explicit-s12", "explicit-rgb8", "explicit-float"})
  void aNiftiVolumeOfOneSliceLiesWhereItsSourceDoes(String name) {
    Raster source = source(name, ReadOptions.DEFAULT);
    byte[] file = Images.write(source, NIFTI);
    Raster result = Images.read(file, ReadOptions.DEFAULT);
    assertThat(result.metadata().spacing()).isEqualTo(source.metadata().spacing());
    if (name.equals("placed")) {
      // A NIfTI slice is shown with the left on the left, a DICOM slice with the left on the right.
      int last = source.width() - 1;
      for (int x = 0; x <= last; x++) {
        assertThat(result.format().sample(result.at(0, 3, x)))
            .isEqualTo(source.format().sample(source.at(0, 3, last - x)));
      }
      assertThat(result.metadata().medical().orElseThrow().place())
          .contains(
              new SlicePlace(
                  new SlicePlace.Vector(-10 + last * 0.5, 20, 30),
                  new SlicePlace.Vector(-1, 0, 0),
                  new SlicePlace.Vector(0, 1, 0)));
    }
    assertThat(new String(file, StandardCharsets.UTF_8)).contains("diffusion-audit");
  }
}
