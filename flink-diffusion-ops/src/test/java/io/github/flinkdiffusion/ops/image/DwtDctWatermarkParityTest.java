/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Against diffusers' StableDiffusionXLWatermarker and the reader of its package: {@code
 * src/test/python/make_watermark_fixtures.py}.
 */
class DwtDctWatermarkParityTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures/image");
  private static final int SAMPLED_EVERY = 97;

  private record Case(JsonNode json) {
    String name() {
      return json.get("name").asText();
    }

    Raster marked() throws IOException {
      return PngCodec.decode(Files.readAllBytes(FIXTURES.resolve("watermark-" + name() + ".png")));
    }

    /** The formula of the fixtures' maker, in its order of operations. */
    Raster plain() {
      int height = json.get("height").asInt();
      int width = json.get("width").asInt();
      float[] data = new float[3 * height * width];
      int state = height;
      int at = 0;
      for (int c = 0; c < 3; c++) {
        for (int y = 0; y < height; y++) {
          for (int x = 0; x < width; x++) {
            state = state * 1664525 + 1013904223;
            int wave = (x * (3 + c) + 2 * y + x * y / (37 + 9 * c)) % 522;
            double level =
                (wave > 261 ? 522 - wave : wave) - 3 + Integer.toUnsignedLong(state) / 0x1p32;
            data[at++] = (float) (2 * level / 255 - 1) / 2 + 0.5f;
          }
        }
      }
      return new Raster(3, height, width, data);
    }

    @Override
    public String toString() {
      return name();
    }
  }

  static Stream<Case> cases() throws IOException {
    JsonNode json = new ObjectMapper().readTree(FIXTURES.resolve("watermark.json").toFile());
    return StreamSupport.stream(json.spliterator(), false).map(Case::new);
  }

  static Stream<Case> marked() throws IOException {
    return cases().filter(one -> !one.json.has("skipped"));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void marksAsTheReferenceDoesToTheLastBits(Case one) {
    float[] actual = DwtDctWatermark.STABLE_DIFFUSION_XL.embed(one.plain()).data();
    try (TensorStore golden = Safetensors.open(FIXTURES.resolve("watermark.safetensors"))) {
      float[] expected = golden.floats(one.name());
      assertThat(expected).hasSizeGreaterThan(2000);
      for (int i = 0; i < expected.length; i++) {
        if (one.json.has("skipped")) {
          assertThat(actual[i * SAMPLED_EVERY]).isEqualTo(expected[i]);
        } else {
          assertThat(Math.abs(actual[i * SAMPLED_EVERY] - expected[i])).isLessThan(1e-6f);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("marked")
  void noPixelIsFurtherThanALevelFromTheReferencesFile(Case one) throws IOException {
    Raster ours = DwtDctWatermark.STABLE_DIFFUSION_XL.embed(one.plain());
    float[] written = PngCodec.decode(PngCodec.encode(ours)).data();
    float[] expected = one.marked().data();
    int others = 0;
    for (int i = 0; i < expected.length; i++) {
      assertThat(Math.abs(written[i] - expected[i])).isLessThan(1.5f / 255);
      others += written[i] == expected[i] ? 0 : 1;
    }
    assertThat(others).isLessThan(expected.length / 10_000);
  }

  @ParameterizedTest
  @MethodSource("marked")
  void readsFromTheReferencesFileWhatItsReaderReads(Case one) throws IOException {
    DwtDctWatermark.Reading reading = DwtDctWatermark.STABLE_DIFFUSION_XL.read(one.marked());
    assertThat(reading).hasToString(description(one));
    assertThat(reading.matching()).isGreaterThanOrEqualTo(45);
    assertThat(DwtDctWatermark.STABLE_DIFFUSION_XL.read(one.plain()).matching())
        .isEqualTo(one.json.get("unmarked").asInt());
  }

  private static String description(Case one) {
    return "%s (%d of 48 as expected)"
        .formatted(one.json.get("bits").asText(), one.json.get("matching").asInt());
  }
}
