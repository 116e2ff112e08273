/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.Random;
import org.junit.jupiter.api.Test;

class SliceVariationTest {
  private static final int HEIGHT = 40;
  private static final int WIDTH = 30;

  @Test
  void aSliceMovesWithItsMask() {
    Raster mask = disc();
    Random random = new Random(1);
    for (int i = 0; i < 20; i++) {
      SliceVariation drawn = SliceVariation.draw(random);
      SliceVariation moved =
          new SliceVariation(
              drawn.angle(),
              drawn.scale(),
              drawn.right(),
              drawn.down(),
              drawn.mirrored(),
              1,
              1,
              0,
              0,
              0);
      SliceVariation.Pair pair = moved.apply(mask, mask, HEIGHT, WIDTH, random);
      assertThat(pair.slice().data()).containsExactly(pair.mask().data(), within(1e-6f));
    }
  }

  @Test
  void halfAsLargeCoversAQuarter() {
    SliceVariation half = new SliceVariation(0, 0.5, 0, 0, false, 1, 1, 0, 0, 0);
    Raster mask = disc();
    Raster smaller = half.apply(mask, mask, HEIGHT, WIDTH, new Random(1)).mask();
    assertThat(sum(smaller) / sum(mask)).isCloseTo(0.25, within(0.03));
  }

  @Test
  void brightnessLeavesTheMaskAlone() {
    SliceVariation brighter = new SliceVariation(0, 1, 0, 0, false, 1.5, 0.8, 0.3, 0.3, 0.05);
    SliceVariation.Pair as =
        SliceVariation.NONE.apply(disc(), disc(), HEIGHT, WIDTH, new Random(1));
    SliceVariation.Pair lit = brighter.apply(disc(), disc(), HEIGHT, WIDTH, new Random(1));
    assertThat(lit.mask()).isEqualTo(as.mask());
    assertThat(lit.slice()).isNotEqualTo(as.slice());
    for (float value : lit.slice().data()) {
      assertThat(value).isBetween(0f, 1f);
    }
  }

  @Test
  void heldOutSlicesAndTheirNeighboursAreNotTrainedOn() {
    assertThat(HeadScan.heldOut()).hasSize(32);
    for (int trained : HeadScan.trainedOn()) {
      for (int heldOut : HeadScan.heldOut()) {
        assertThat(Math.abs(trained - heldOut)).isGreaterThan(2);
      }
    }
  }

  private static double sum(Raster picture) {
    double sum = 0;
    for (float value : picture.data()) {
      sum += value;
    }
    return sum;
  }

  private static Raster disc() {
    float[] data = new float[HEIGHT * WIDTH];
    for (int i = 0; i < data.length; i++) {
      double dy = i / WIDTH - (HEIGHT - 1) / 2.0;
      double dx = i % WIDTH - (WIDTH - 1) / 2.0;
      data[i] = dx * dx + 1.3 * dy * dy < 120 ? 1 : 0;
    }
    return new Raster(1, HEIGHT, WIDTH, data);
  }
}
