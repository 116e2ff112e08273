/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What makes images for ControlNets, against OpenCV, diffusers and Pillow. */
class PreprocessorsTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures/preprocess");

  private static List<JsonNode> cases(String kind) throws IOException {
    List<JsonNode> cases = new ArrayList<>();
    new ObjectMapper()
        .readTree(FIXTURES.resolve("cases.json").toFile())
        .get(kind)
        .forEach(cases::add);
    return cases;
  }

  static List<JsonNode> edges() throws IOException {
    return cases("edges");
  }

  static List<JsonNode> sizes() throws IOException {
    return cases("sizes");
  }

  private static Raster read(JsonNode name) throws IOException {
    return Images.read(Files.readAllBytes(FIXTURES.resolve(name.asText())), ReadOptions.DEFAULT);
  }

  @ParameterizedTest
  @MethodSource("edges")
  void edgesAreThoseOfOpenCv(JsonNode edges) throws IOException {
    Raster found =
        CannyEdges.of(
            read(edges.get("source")), edges.get("low").asDouble(), edges.get("high").asDouble());
    assertThat(found.channels()).isEqualTo(1);
    assertThat(found.data()).containsExactly(read(edges.get("file")).data());
  }

  @Test
  void theFixturesHaveEdgesAndOtherPixels() throws IOException {
    int both = 0;
    for (JsonNode each : edges()) {
      float sum = 0;
      float[] values = read(each.get("file")).data();
      for (float value : values) {
        sum += value;
      }
      both += sum > 0 && sum < values.length ? 1 : 0;
    }
    assertThat(both).isGreaterThanOrEqualTo(20);
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void aSizeIsFilledAsDiffusersDoes(JsonNode size) throws IOException {
    Raster filled =
        FilledSize.of(
            read(size.get("source")), size.get("height").asInt(), size.get("width").asInt());
    assertThat(filled.data()).containsExactly(read(size.get("file")).data());
  }

  @Test
  void opacityIsNoEdge() {
    Raster picture = Raster.filled(4, 8, 8, 0.5f);
    for (int i = 3 * 64; i < 3 * 64 + 32; i++) {
      picture.data()[i] = 0;
    }
    assertThat(CannyEdges.of(picture, 1, 2).data()).containsOnly(0);
    assertThatThrownBy(
            () ->
                CannyEdges.of(
                    new Raster(
                        5,
                        2,
                        2,
                        new float[20],
                        PixelFormat.of(Bands.MEASUREMENTS, SampleType.UINT16),
                        ImageMetadata.NONE),
                    1,
                    2))
        .isInstanceOf(ImageException.class)
        .hasMessage("Edges of an image with 5 bands; expected 1 or 3");
  }

  @Test
  void classesArePaintedInTheirColors() {
    Raster classes = new Raster(1, 1, 3, new float[] {0, 1 / 255f, 2 / 255f});
    assertThat(ClassColors.parse("787878, #b47878 06e6e6").paint(classes).data())
        .containsExactly(
            120 / 255f,
            180 / 255f,
            6 / 255f,
            120 / 255f,
            120 / 255f,
            230 / 255f,
            120 / 255f,
            120 / 255f,
            230 / 255f);
    // torchvision's and PASCAL VOC's first classes: background, aeroplane, bicycle.
    assertThat(ClassColors.VOC.colors().subList(0, 4))
        .containsExactly(
            new Rgb(0, 0, 0), new Rgb(128, 0, 0), new Rgb(0, 128, 0), new Rgb(128, 128, 0));
    assertThat(ClassColors.VOC.colors().get(20)).isEqualTo(new Rgb(0, 64, 128));
    assertThat(ClassColors.VOC.colors().get(255)).isEqualTo(new Rgb(224, 224, 192));
    assertThatThrownBy(() -> ClassColors.parse("787878 blue"))
        .isInstanceOf(ImageException.class)
        .hasMessageStartingWith("Color 1 of classes is 'blue'; expected six hexadecimal digits");
    assertThatThrownBy(() -> ClassColors.parse("000000 ffffff").paint(classes))
        .hasMessage("Class 2 has no color; there are 2, for classes from 0");
    assertThatThrownBy(() -> ClassColors.VOC.paint(Raster.filled(3, 1, 1, 0)))
        .hasMessageContaining("3 bands; expected one band");
  }
}
