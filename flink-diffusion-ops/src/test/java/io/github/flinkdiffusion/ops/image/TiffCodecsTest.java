/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static io.github.flinkdiffusion.ops.image.NoDataTest.file;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Rarer TIFF files, against tifffile; {@code src/test/python/make_tiff_codec_fixtures.py}. */
class TiffCodecsTest {

  private static JsonNode expected() throws IOException {
    return new ObjectMapper().readTree(file("tiff-codecs/expected.json"));
  }

  static List<String> files() throws IOException {
    List<String> names = new ArrayList<>();
    expected().fieldNames().forEachRemaining(names::add);
    assertThat(names).hasSize(11);
    return names;
  }

  @ParameterizedTest
  @MethodSource("files")
  void numbersAreThoseOfTheFile(String name) throws IOException {
    Raster raster = Images.read(file("tiff-codecs/" + name), ReadOptions.DEFAULT);
    JsonNode of = expected().get(name);
    assertThat(raster.channels()).isEqualTo(of.get("shape").get(0).asInt());
    assertThat(raster.height()).isEqualTo(of.get("shape").get(1).asInt());
    double stretch = name.startsWith("fax") ? 255 : 1;
    for (int i = 0; i < raster.data().length; i++) {
      assertThat(raster.format().sample(raster.data()[i]))
          .as("number %d", i)
          .isEqualTo(
              of.get("numbers").get(i).asDouble() * stretch,
              within(name.startsWith("jpeg") ? 1 : 1e-9));
    }
  }

  @Test
  void aWhiteOfTwelveBitsIsWhite() {
    Raster raster = Images.read(file("tiff-codecs/twelve-bits.tif"), ReadOptions.DEFAULT);
    assertThat(raster.format().range()).isEqualTo(new ValueRange(0, 4095));
    assertThat(raster.format().type()).isEqualTo(SampleType.UINT16);
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 5, 6, 7, 8})
  void partsOfATurnedImageAreThoseOfTheUprightOne(int orientation) {
    Raster plain =
        PngCodecTest.noise(2, 5, 7, 1)
            .withFormat(PixelFormat.of(Bands.MEASUREMENTS, SampleType.UINT8));
    byte[] turned = new byte[] {0, (byte) orientation};
    ImageMetadata metadata =
        new ImageMetadata(
            Optional.empty(),
            Optional.of(new PixelSpacing(0.1, 0.2)),
            new TreeMap<>(),
            List.of(new TiffTag(Tiff.ORIENTATION, TiffType.SHORT, turned)));
    byte[] file = Images.write(plain.withMetadata(metadata), "image/tiff");
    Raster upright = plain.upright(orientation);
    try (TiffReader reader = TiffReader.open(new ByteArrayChannel(file), ReadOptions.DEFAULT)) {
      assertThat(reader.width()).isEqualTo(upright.width());
      assertThat(reader.read(new Window(0, 0, reader.width(), reader.height())).data())
          .isEqualTo(upright.data());
      Window part = new Window(1, 2, 3, 3);
      assertThat(reader.read(part).data()).isEqualTo(upright.crop(part).data());
      assertThat(reader.metadata().tags()).isEmpty();
      boolean exchanged = orientation >= 5;
      assertThat(reader.metadata().spacing().orElseThrow().x())
          .isEqualTo(exchanged ? 0.2 : 0.1, within(1e-6));
    }
  }

  @ParameterizedTest
  @MethodSource("files")
  void damagedFilesAreRefusedByNameOrRead(String name) {
    byte[] good = file("tiff-codecs/" + name);
    Random random = new Random(7);
    int refused = 0;
    for (int i = 0; i < 200; i++) {
      byte[] bad = good.clone();
      for (int n = 0; n < 1 + i % 4; n++) {
        bad[random.nextInt(bad.length)] = (byte) random.nextInt();
      }
      try {
        assertThat(Images.read(bad, ReadOptions.DEFAULT).data()).isNotEmpty();
      } catch (ImageException e) {
        refused++;
      }
    }
    assertThat(refused).isPositive();
  }
}
