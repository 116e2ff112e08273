/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.noise;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;

/**
 * Compares with draws that {@code src/test/python/make_noise_fixtures.py} took from PyTorch 2.7.1.
 */
class TorchGeneratorParityTest {

  @Test
  void everySizeFrom1To4096IsTorchsDrawToTheBit() throws IOException {
    JsonNode sizes = fixture("sizes");
    assertThat(sizes).hasSize(4096);
    List<String> wrong = new ArrayList<>();
    for (JsonNode entry : sizes) {
      long seed = entry.get(0).asLong();
      int size = entry.get(1).asInt();
      if (crc(new TorchGenerator(seed).gaussian(size)) != entry.get(2).asLong()) {
        wrong.add("seed " + seed + " size " + size);
      }
    }
    assertThat(wrong).isEmpty();
  }

  @Test
  void aStreamOfShortAndLongDrawsIsTorchsToTheBit() throws IOException {
    JsonNode streams = fixture("streams");
    assertThat(streams).hasSize(50);
    for (JsonNode stream : streams) {
      TorchGenerator generator = new TorchGenerator(stream.get("seed").asLong());
      for (JsonNode draw : stream.get("draws")) {
        assertThat(crc(generator.gaussian(draw.get(0).asInt())))
            .as("seed %s, size %s", stream.get("seed"), draw.get(0))
            .isEqualTo(draw.get(1).asLong());
      }
    }
  }

  @Test
  void aStreamRestoredBeforeEveryDrawIsStillTorchs() throws IOException {
    for (JsonNode stream : fixture("streams")) {
      TorchGenerator generator = new TorchGenerator(stream.get("seed").asLong());
      for (JsonNode draw : stream.get("draws")) {
        generator = TorchGenerator.restore(generator.saveState());
        assertThat(crc(generator.gaussian(draw.get(0).asInt())))
            .as("seed %s, size %s", stream.get("seed"), draw.get(0))
            .isEqualTo(draw.get(1).asLong());
      }
    }
  }

  @Test
  void valuesAreWithinAMillionthOfTorchs() throws IOException {
    JsonNode samples = fixture("samples");
    assertThat(samples).hasSize(500);
    for (JsonNode sample : samples) {
      int size = sample.get("size").asInt();
      float[] values = new TorchGenerator(sample.get("seed").asLong()).gaussian(size);
      JsonNode first = sample.get("first");
      JsonNode last = sample.get("last");
      double sum = 0;
      for (float value : values) {
        sum += value;
      }
      for (int i = 0; i < first.size(); i++) {
        assertThat((double) values[i]).isCloseTo(first.get(i).asDouble(), within(1e-6));
        assertThat((double) values[size - last.size() + i])
            .isCloseTo(last.get(i).asDouble(), within(1e-6));
      }
      assertThat(sum).isCloseTo(sample.get("sum").asDouble(), within(1e-6 * size));
    }
  }

  private static long crc(float[] values) {
    ByteBuffer bytes =
        ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    CRC32 crc = new CRC32();
    crc.update(bytes.array());
    return crc.getValue();
  }

  private static JsonNode fixture(String name) throws IOException {
    try (InputStream in =
        TorchGeneratorParityTest.class.getResourceAsStream("/fixtures/noise/" + name + ".json")) {
      return new ObjectMapper().readTree(in);
    }
  }
}
