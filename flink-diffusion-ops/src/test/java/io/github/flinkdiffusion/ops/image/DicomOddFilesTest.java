/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Files with attributes that few have: doses, floats without data, names in all scripts. */
class DicomOddFilesTest {
  private static final int PATIENT = 0x00100010;
  private static final ReadOptions PATIENTS = ReadOptions.DEFAULT.withPatientData();

  private static byte[] little(int bytes, double... values) {
    ByteBuffer buffer = ByteBuffer.allocate(bytes * values.length).order(ByteOrder.LITTLE_ENDIAN);
    for (double value : values) {
      switch (bytes) {
        case 2 -> buffer.putShort((short) value);
        case 4 -> buffer.putFloat((float) value);
        default -> buffer.putDouble(value);
      }
    }
    return buffer.array();
  }

  private static DicomElements placed(int frames, int bits) {
    DicomElements elements =
        new DicomElements()
            .bytes(DicomTag.SAMPLES, "US", little(2, 1))
            .text(DicomTag.PHOTOMETRIC, "CS", "MONOCHROME2")
            .bytes(DicomTag.ROWS, "US", little(2, 2))
            .bytes(DicomTag.COLUMNS, "US", little(2, 2))
            .bytes(DicomTag.BITS_ALLOCATED, "US", little(2, bits))
            .decimals(0x00200032, -10, -20, 30)
            .decimals(0x00200037, 1, 0, 0, 0, 1, 0)
            .decimals(DicomTag.PIXEL_SPACING, 0.5, 0.5);
    return frames > 1 ? elements.text(DicomTag.FRAMES, "IS", "" + frames) : elements;
  }

  private static DicomElements gray(int frames) {
    double[] values = new double[4 * frames];
    for (int i = 0; i < values.length; i++) {
      values[i] = i;
    }
    return placed(frames, 16)
        .bytes(DicomTag.BITS_STORED, "US", little(2, 16))
        .bytes(DicomTag.HIGH_BIT, "US", little(2, 15))
        .bytes(DicomTag.SIGNED, "US", little(2, 0))
        .bytes(DicomTag.PIXELS, "OW", little(2, values));
  }

  private static byte[] file(DicomElements elements) {
    return elements.file(CtSlices.CT, "1.2.3.4");
  }

  private static Optional<SlicePlace> place(byte[] file, int frame) {
    return Images.read(file, ReadOptions.DEFAULT.withPage(frame))
        .metadata()
        .medical()
        .orElseThrow()
        .place();
  }

  @ParameterizedTest
  @CsvSource({"4, NaN, false", "8, NaN, false", "4, -5, false", "8, -5, false", "8, -5, true"})
  void floatsThatStandForNoDataHoldNone(int bytes, double none, boolean range) {
    boolean single = bytes == 4;
    String type = single ? "FL" : "FD";
    DicomElements elements =
        placed(1, 8 * bytes)
            .bytes(
                single ? DicomTag.FLOAT_PADDING : DicomTag.DOUBLE_PADDING,
                type,
                little(bytes, none))
            .bytes(
                single ? DicomTag.FLOAT_PIXELS : DicomTag.DOUBLE_PIXELS,
                single ? "OF" : "OD",
                little(bytes, 0.5, none, -4.5, 0.25));
    if (range) {
      elements.bytes(DicomTag.DOUBLE_PADDING_LIMIT, type, little(bytes, -4));
    }
    Raster image = Images.read(file(elements), ReadOptions.DEFAULT);
    NoDataMask missing = image.noData().orElseThrow();
    assertThat(missing.isMissing(0)).isFalse();
    assertThat(missing.isMissing(1)).isTrue();
    assertThat(missing.isMissing(2)).isEqualTo(range);
    assertThat(image.format().sample(image.data()[3])).isEqualTo(0.25, within(1e-7));
  }

  @Test
  void aDoseIsScaledAndItsFramesLieWhereTheirOffsetsSay() {
    byte[] dose =
        file(
            gray(3)
                .decimals(DicomTag.DOSE_SCALING, 0.25)
                .text(DicomTag.FRAME_OFFSETS, "DS", "0\\2.5\\5"));
    Raster frame = Images.read(dose, ReadOptions.DEFAULT.withPage(2));
    assertThat(frame.format().sample(frame.data()[1])).isEqualTo(9 * 0.25, within(1e-3));
    assertThat(place(dose, 0).orElseThrow().position())
        .isEqualTo(new SlicePlace.Vector(-10, -20, 30));
    assertThat(place(dose, 2).orElseThrow().position())
        .isEqualTo(new SlicePlace.Vector(-10, -20, 35));
  }

  @Test
  void framesThatOnlyTheFilePlacesHaveNoPlace() {
    assertThat(place(file(gray(3)), 1)).isEmpty();
    assertThat(place(file(gray(1)), 0)).isPresent();
  }

  @ParameterizedTest
  @CsvSource({
    "ISO_IR 144, ISO-8859-5, Люкceмбypг",
    "ISO_IR 126, ISO-8859-7, Διονυσιος",
    "ISO_IR 101, ISO-8859-2, Łukasz^Żak",
    "ISO-IR 100, ISO-8859-1, Buc^Jérôme",
    "GB18030, GB18030, Wang^XiaoDong=王^小东",
    "\\ISO 2022 IR 87, ISO-2022-JP, Yamada^Tarou=山田^太郎=やまだ^たろう"
  })
  void aPatientsNameIsReadInItsScript(String terms, String charset, String name) {
    DicomElements elements =
        gray(1)
            .text(DicomTag.CHARACTER_SET, "CS", terms)
            .bytes(PATIENT, "PN", name.getBytes(Charset.forName(charset)));
    Raster source = Images.read(file(elements), PATIENTS);
    assertThat(source.metadata().medical().orElseThrow().attribute(PATIENT)).isEqualTo(name);
    Raster result = Images.read(Images.write(source, "application/dicom"), PATIENTS);
    assertThat(result.metadata().medical().orElseThrow().attribute(PATIENT)).isEqualTo(name);
  }

  @Test
  void escapesInsideOfAKoreanNameSwitchToItsScript() throws Exception {
    byte[] plain = "洪^吉洞".getBytes("EUC-KR");
    String escape = new String(new char[] {0x1B}) + "$)C";
    String bytes = "Hong^Gildong=" + escape + new String(plain, StandardCharsets.ISO_8859_1);
    DicomElements elements =
        gray(1)
            .text(DicomTag.CHARACTER_SET, "CS", "\\ISO 2022 IR 149")
            .bytes(PATIENT, "PN", bytes.getBytes(StandardCharsets.ISO_8859_1));
    assertThat(
            Images.read(file(elements), PATIENTS)
                .metadata()
                .medical()
                .orElseThrow()
                .attribute(PATIENT))
        .isEqualTo("Hong^Gildong=洪^吉洞");
  }

  @Test
  void anUnknownScriptIsRefusedOnlyWhereTextsAreNeeded() {
    byte[] file =
        file(
            gray(1)
                .text(DicomTag.CHARACTER_SET, "CS", "ISO_IR 999")
                .bytes(PATIENT, "PN", new byte[] {'A', (byte) 0xE9}));
    assertThat(Images.read(file, ReadOptions.DEFAULT).width()).isEqualTo(2);
    assertThatThrownBy(() -> Images.read(file, PATIENTS))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("ISO_IR 999")
        .hasMessageContaining("diffusion.image.patient-data");
  }

  @Test
  void aDistanceWithASignIsNotWrittenForClassesWithoutOne() {
    Raster source = Images.read(file(gray(1).text(0x00180088, "DS", "-3")), ReadOptions.DEFAULT);
    Raster result = Images.read(Images.write(source, "application/dicom"), ReadOptions.DEFAULT);
    assertThat(result.metadata().medical().orElseThrow().attribute(0x00180088)).isEmpty();
  }
}
