/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.image.Raster;
import org.junit.jupiter.api.Test;

class SensorTest {
  private static final int SIDE = 128;

  /** A wave at the small picture's Nyquist frequency, 8 large pixels long, its crests on pixels. */
  @Test
  void passesAsMuchAtNyquistAsItSays() {
    Raster seen = Sensor.look(wave(8));
    double most = 0;
    for (int x = 4; x < SIDE / 4 - 4; x++) {
      most = Math.max(most, Math.abs(seen.at(0, 10, x) - 0.5));
    }
    assertThat(most / 0.4).isCloseTo(Sensor.TRANSFER_AT_NYQUIST, within(0.02));
  }

  @Test
  void passesWhatIsWide() {
    Raster seen = Sensor.look(wave(64));
    double most = 0;
    for (int x = 4; x < SIDE / 4 - 4; x++) {
      most = Math.max(most, Math.abs(seen.at(0, 10, x) - 0.5));
    }
    assertThat(most / 0.4).isGreaterThan(0.9);
  }

  @Test
  void seesLevelsOfEightBits() {
    for (float value : Sensor.look(wave(40)).data()) {
      assertThat(value * 255).isCloseTo(Math.round(value * 255), within(1e-3f));
    }
  }

  private static Raster wave(int length) {
    float[] data = new float[SIDE * SIDE];
    for (int i = 0; i < data.length; i++) {
      // Crests at the centres of blocks, between their second and third pixel.
      data[i] = (float) (0.5 + 0.4 * Math.cos(2 * Math.PI * (i % SIDE - 1.5) / length));
    }
    return new Raster(1, SIDE, SIDE, data);
  }
}
