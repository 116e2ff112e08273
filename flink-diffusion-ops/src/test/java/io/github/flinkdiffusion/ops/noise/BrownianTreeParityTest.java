/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.noise;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;

/** Compares with torchsde 0.2.6 and NumPy: {@code make_noise_fixtures.py}. */
class BrownianTreeParityTest {
  private static final double START = 0.029167533;

  @Test
  void incrementsAreTorchsdesToTheBit() throws IOException {
    JsonNode cases = fixture().get(0).get("increments");
    assertThat(cases).hasSize(50);
    for (JsonNode one : cases) {
      BrownianTree tree = new BrownianTree(one.get(0).asLong(), START, one.get(2).asDouble());
      float[] moved =
          tree.increment(one.get(3).asDouble(), one.get(4).asDouble(), one.get(1).asInt());
      assertThat(crc(moved)).as("%s", one).isEqualTo(one.get(5).asLong());
    }
  }

  @Test
  void seedsAreNumPys() throws IOException {
    JsonNode cases = fixture().get(1).get("seeds");
    assertThat(cases).hasSize(16);
    for (JsonNode one : cases) {
      JsonNode key = one.get(1);
      long[] spawnKey = new long[key.size()];
      for (int i = 0; i < spawnKey.length; i++) {
        spawnKey[i] = key.get(i).asLong();
      }
      int[] state = new SeedSequence(one.get(0).asLong(), 24, spawnKey).state(4);
      for (int i = 0; i < 4; i++) {
        assertThat(Integer.toUnsignedLong(state[i]))
            .as("%s", one)
            .isEqualTo(one.get(2).get(i).asLong());
      }
    }
  }

  @Test
  void partsOfAnIntervalAddUpAndHaveItsVariance() {
    BrownianTree tree = new BrownianTree(3, 0.1, 10);
    float[] first = tree.increment(2, 5.5, 20_000);
    float[] second = tree.increment(5.5, 6, 20_000);
    float[] both = tree.increment(2, 6, 20_000);
    double squares = 0;
    for (int i = 0; i < both.length; i++) {
      assertThat((double) first[i] + second[i]).isCloseTo(both[i], within(1e-4));
      squares += both[i] * both[i];
    }
    assertThat(squares / both.length).isCloseTo(4, within(0.15));
  }

  @Test
  void anEmptyIntervalDoesNotMoveAndABackwardOneIsRefused() {
    assertThat(new BrownianTree(1, 1, 1).increment(0, 2, 3)).containsOnly(0);
    assertThatThrownBy(() -> new BrownianTree(1, 2, 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("from 2.0 to 1.0");
    assertThatThrownBy(() -> new BrownianTree(-1, 1, 2))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("seed -1");
  }

  private static JsonNode fixture() throws IOException {
    try (InputStream in =
        BrownianTreeParityTest.class.getResourceAsStream("/fixtures/noise/brownian.json")) {
      return new ObjectMapper().readTree(in);
    }
  }

  private static long crc(float[] values) {
    ByteBuffer bytes =
        ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    CRC32 crc = new CRC32();
    crc.update(bytes);
    return crc.getValue();
  }
}
