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
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.stream.ImageInputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Against tifffile, {@code src/test/python/make_tiff_fixtures.py}, and Java's own TIFF reader. */
class TiffParityTest {

  static byte[] fixture(String name) {
    try (InputStream in = TiffParityTest.class.getResourceAsStream("/fixtures/tiff/" + name)) {
      return in.readAllBytes();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static Raster read(String name) {
    return Images.read(fixture(name + ".tif"), ReadOptions.DEFAULT);
  }

  static List<String> files() throws IOException {
    List<String> names = new ArrayList<>();
    new ObjectMapper().readTree(fixture("expected.json")).fieldNames().forEachRemaining(names::add);
    assertThat(names).hasSize(15);
    return names;
  }

  @ParameterizedTest
  @MethodSource("files")
  void readsTheNumbersThatTifffileWrote(String name) throws IOException {
    JsonNode expected = new ObjectMapper().readTree(fixture("expected.json")).get(name);
    Raster picture = read(name);
    assertThat(List.of(picture.channels(), picture.height(), picture.width()))
        .containsExactly(
            expected.get("shape").get(0).intValue(),
            expected.get("shape").get(1).intValue(),
            expected.get("shape").get(2).intValue());
    for (int i = 0; i < picture.data().length; i++) {
      assertThat(picture.format().sample(picture.data()[i]))
          .isEqualTo((float) expected.get("numbers").get(i).doubleValue(), within(0.0));
    }
    assertThat(TiffReader.decode(TiffWriter.encode(picture), ReadOptions.DEFAULT))
        .as("written and read again")
        .isEqualTo(picture);
  }

  @ParameterizedTest
  @MethodSource("files")
  void aPartIsThatOfTheWhole(String name) {
    Raster whole = read(name);
    try (TiffReader reader =
        TiffReader.open(new ByteArrayChannel(fixture(name + ".tif")), ReadOptions.DEFAULT)) {
      for (Window window :
          List.of(new Window(0, 0, 1, 1), new Window(3, 5, 14, 13), new Window(15, 14, 2, 6))) {
        assertThat(reader.read(window)).isEqualTo(whole.crop(window));
      }
    }
  }

  /** Of 8 bits: its prediction knows no others. */
  @Test
  void javasReaderReadsWhatIsWritten() throws IOException {
    Raster picture = PngCodecTest.noise(3, 300, 270, 1);
    ImageReader reader = ImageIO.getImageReadersByFormatName("tiff").next();
    try (ImageInputStream in =
        ImageIO.createImageInputStream(new ByteArrayInputStream(TiffWriter.encode(picture)))) {
      reader.setInput(in);
      java.awt.image.Raster pixels = reader.read(0).getRaster();
      for (int i = 0; i < 300 * 270; i += 97) {
        for (int c = 0; c < 3; c++) {
          assertThat(pixels.getSampleDouble(i % 270, i / 270, c))
              .isEqualTo(picture.format().sample(picture.at(c, i / 270, i % 270)));
        }
      }
    } finally {
      reader.dispose();
    }
  }

  @Test
  void colorsOfEveryKindBecomePictures() {
    assertThat(read("bilevel").data()[0]).isOne();
    assertThat(read("bilevel").data()[1]).isZero();
    assertThat(read("bilevel").at(0, 5, 9)).isZero();
    assertThat(read("bilevel").at(0, 5, 7)).isOne();
    assertThat(read("white-is-zero").data()).containsExactly(1, 0, (float) (1 - 100 / 255.0));
    assertThat(TiffReader.decode(TiffWriter.encode(read("white-is-zero")), ReadOptions.DEFAULT))
        .isEqualTo(read("white-is-zero"));
    assertThat(read("cmyk").data()).containsExactly(1, 0, 0, 0, 0, 0);
    assertThat(read("palette").data())
        .containsExactly(new float[] {0, 1, 0, 0, 0, 32896 / 65535f}, within(1e-6f));
    assertThat(read("premultiplied").data())
        .containsExactly(new float[] {0.5f, 0, 1, 100 / 255f}, within(1e-6f));
  }

  @Test
  void tagsAreKeptAndFollowTheResolution() {
    Raster scene = read("geo-tiles");
    ImageMetadata metadata = scene.metadata();
    assertThat(metadata.texts())
        .containsEntry("sensor", "A & B")
        .containsEntry("MEAN|sample=0", "7");
    assertThat(metadata.spacing()).contains(new PixelSpacing(0.1, 0.2));
    assertThat(metadata.tags())
        .anyMatch(tag -> tag.number() == 270 && tag.text().equals("a scene"));
    assertThat(scene.format().noData()).hasValue(0);
    assertThat(metadata.georeference().orElseThrow().epsg()).hasValue(32633);

    Raster result = Raster.filled(1, 192, 256, 0.5f).like(scene);
    Raster again = TiffReader.decode(TiffWriter.encode(result), ReadOptions.DEFAULT);
    assertThat(again.metadata().tags()).isEqualTo(metadata.tags());
    assertThat(again.metadata().texts()).isEqualTo(metadata.texts());
    assertThat(again.metadata().spacing().orElseThrow().y()).isEqualTo(0.05, within(1e-7));
    Georeference where = again.metadata().georeference().orElseThrow();
    assertThat(where.pixelScale()).containsExactly(2.5, 2.5, 0.0);
    assertThat(where.toModel(256, 192).orElseThrow()).containsExactly(500_640, 3_999_520);
  }

  @Test
  void lzwGoesOnWhenItsTableIsFull() {
    Raster picture = read("lzw-many-codes");
    for (int y = 0; y < 160; y++) {
      for (int x = 0; x < 160; x++) {
        assertThat(picture.at(0, y, x)).isEqualTo((x * x * 7 + y * y * 13 + x * y) % 251 / 255f);
      }
    }
  }

  @Test
  void pagesAreCounted() {
    byte[] file = fixture("two-pages.tif");
    assertThat(Images.read(file, ReadOptions.DEFAULT.withPage(1)).data())
        .containsExactly(3 / 255f, 4 / 255f);
    assertThatThrownBy(() -> Images.read(file, ReadOptions.DEFAULT.withPage(2)))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("no page 2");
  }

  @Test
  void whatIsNoNumberIsRefusedOrReplaced() {
    assertThatThrownBy(() -> read("not-a-number"))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("holds the value NaN");
    assertThat(
            Images.read(fixture("not-a-number.tif"), ReadOptions.DEFAULT.replacingNotFinite(-9999))
                .data())
        .containsExactly(1, -9999, -9999);
  }

  @Test
  void aCompressionThatIsNotSupportedIsNamed() {
    byte[] file = fixture("jpeg.tif");
    // The entry of tag 259 of one short number, 7, becomes 6.
    for (int at = 0; at < file.length - 10; at++) {
      boolean entry = file[at] == 3 && file[at + 1] == 1 && file[at + 2] == 3 && file[at + 8] == 7;
      file[at + 8] = entry ? 6 : file[at + 8];
    }
    assertThatThrownBy(() -> Images.read(file, ReadOptions.DEFAULT))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("compression 6");
  }
}
