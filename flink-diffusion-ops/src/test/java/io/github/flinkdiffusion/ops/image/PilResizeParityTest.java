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
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;

/** Bit by bit against Pillow: {@code src/test/python/make_resize_fixtures.py}. */
class PilResizeParityTest {

  @Test
  void everySampleIsPillows() throws IOException {
    JsonNode cases;
    try (InputStream in =
        PilResizeParityTest.class.getResourceAsStream("/fixtures/image/resize.json")) {
      cases = new ObjectMapper().readTree(in);
    }
    assertThat(cases).hasSize(300);
    List<String> different = new ArrayList<>();
    for (JsonNode json : cases) {
      Raster resized =
          PilResize.resize(
              picture(json),
              json.get("to").get(0).asInt(),
              json.get("to").get(1).asInt(),
              PilResize.Filter.ofCode(json.get("filter").asInt()));
      if (crc(resized) != json.get("crc").asLong()) {
        different.add(json.toString());
      }
    }
    assertThat(different).isEmpty();
  }

  /** The linear congruence of the fixtures' maker, in the order pixel by pixel. */
  private static Raster picture(JsonNode json) {
    int channels = json.get("channels").asInt();
    int pixels = json.get("from").get(0).asInt() * json.get("from").get(1).asInt();
    float[] data = new float[channels * pixels];
    int state = json.get("seed").asInt();
    for (int i = 0; i < pixels; i++) {
      for (int c = 0; c < channels; c++) {
        state = state * 1664525 + 1013904223;
        int level = json.get("hard").asBoolean() ? (state < 0 ? 255 : 0) : state >>> 24;
        data[c * pixels + i] = level / 255f;
      }
    }
    return new Raster(
        channels, json.get("from").get(0).asInt(), json.get("from").get(1).asInt(), data);
  }

  private static long crc(Raster picture) {
    CRC32 crc = new CRC32();
    for (int y = 0; y < picture.height(); y++) {
      for (int x = 0; x < picture.width(); x++) {
        for (int c = 0; c < picture.channels(); c++) {
          float level = picture.at(c, y, x) * 255;
          assertThat(level).isEqualTo((float) Math.rint(level));
          crc.update((int) level);
        }
      }
    }
    return crc.getValue();
  }
}
