/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Against Pillow and diffusers: {@code src/test/python/make_image_fixtures.py}. */
class PngCodecParityTest {

  private static byte[] fixture(String name) {
    try (InputStream in = PngCodecParityTest.class.getResourceAsStream("/fixtures/image/" + name)) {
      return in.readAllBytes();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static JsonNode expected() throws IOException {
    return new ObjectMapper().readTree(fixture("expected.json"));
  }

  static List<String> files() throws IOException {
    List<String> names = new ArrayList<>();
    expected().get("files").fieldNames().forEachRemaining(names::add);
    assertThat(names).hasSize(10);
    return names;
  }

  @ParameterizedTest
  @MethodSource("files")
  void readsTheSamplesThatPillowReads(String name) throws IOException {
    JsonNode rows = expected().get("files").get(name);
    float white = name.contains("16-bits") ? 65535 : 255;
    Raster picture = PngCodec.decode(fixture(name + ".png"));
    assertThat(picture.height()).isEqualTo(rows.size());
    assertThat(picture.width()).isEqualTo(rows.get(0).size());
    assertThat(picture.channels()).isEqualTo(rows.get(0).get(0).size());
    for (int y = 0; y < picture.height(); y++) {
      for (int x = 0; x < picture.width(); x++) {
        for (int c = 0; c < picture.channels(); c++) {
          assertThat(picture.at(c, y, x))
              .as("channel %d at (%d, %d)", c, x, y)
              .isEqualTo(rows.get(y).get(x).get(c).intValue() / white);
        }
      }
    }
  }

  @Test
  void roundsAsDiffusersDoes() throws IOException {
    JsonNode bits = expected().get("floats").get("bits");
    JsonNode bytes = expected().get("floats").get("bytes");
    assertThat(bits.size()).isEqualTo(bytes.size()).isGreaterThan(1000);
    float[] values = new float[bits.size()];
    float[] rounded = new float[bits.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = Float.intBitsToFloat(bits.get(i).intValue());
      rounded[i] = bytes.get(i).intValue() / 255f;
    }
    assertThat(PngCodec.decode(PngCodec.encode(new Raster(1, 1, values.length, values))))
        .isEqualTo(new Raster(1, 1, values.length, rounded));
  }
}
