/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** What is learned from beside the head as it was scanned. */
class OtherHeadTest {
  private static final int HEIGHT = 40;
  private static final int WIDTH = 30;

  @Test
  void theMaskStaysWithItsBrain() {
    Raster mask = disc();
    Random random = new Random(3);
    for (int i = 0; i < 20; i++) {
      OtherHead drawn = OtherHead.draw(random);
      OtherHead moved =
          new OtherHead(
              drawn.broader(),
              drawn.longer(),
              drawn.bend(),
              drawn.phase(),
              drawn.waves(),
              1,
              0,
              0,
              0,
              0,
              0);
      SliceVariation.Pair pair = moved.apply(mask, mask);
      assertThat(pair.slice().data()).containsExactly(pair.mask().data(), within(1e-6f));
    }
  }

  @Test
  void onlyTheRimIsBrighterAndRowsThatAreCutAreEmpty() {
    Raster slice = Raster.filled(1, HEIGHT, WIDTH, 0.25f);
    OtherHead bright = new OtherHead(1, 1, 0, 0, 1, 2, 0, 0, 0, 0.25, 0);
    SliceVariation.Pair pair = bright.apply(slice, disc());
    assertThat(pair.slice().at(0, HEIGHT / 2, WIDTH / 2)).isEqualTo(0.25f);
    assertThat(pair.slice().at(0, HEIGHT - 2, 1)).isEqualTo(0.5f);
    for (int x = 0; x < WIDTH; x++) {
      assertThat(pair.slice().at(0, HEIGHT / 4 - 1, x)).isZero();
      assertThat(pair.mask().at(0, HEIGHT / 4 - 1, x)).isZero();
    }
  }

  @Test
  void whatIsNoHeadIsAPictureOfAnyKind() {
    Raster photograph = NonHeads.gray(Raster.filled(3, 700, 900, 0.5f));
    assertThat(Math.max(photograph.height(), photograph.width())).isEqualTo(512);
    assertThat(photograph.at(0, 100, 100)).isCloseTo(0.5f, within(1e-5f));
    NonHeads nonHeads = new NonHeads(List.of(photograph));
    Random random = new Random(5);
    int even = 0;
    for (int i = 0; i < 60; i++) {
      Raster drawn = nonHeads.draw(random, HEIGHT, WIDTH);
      float least = 1;
      float most = 0;
      for (float value : drawn.data()) {
        least = Math.min(least, value);
        most = Math.max(most, value);
      }
      assertThat(least).isBetween(0f, most);
      assertThat(most).isLessThanOrEqualTo(1);
      even += most - least < 1e-4 ? 1 : 0;
    }
    assertThat(even).as("parts of an even photograph").isBetween(10, 50);
  }

  private static Raster disc() {
    float[] data = new float[HEIGHT * WIDTH];
    for (int y = 0; y < HEIGHT; y++) {
      for (int x = 0; x < WIDTH; x++) {
        double u = x - WIDTH / 2.0;
        double v = y - HEIGHT / 2.0;
        data[y * WIDTH + x] = u * u + v * v < 100 ? 1 : 0;
      }
    }
    return new Raster(1, HEIGHT, WIDTH, data);
  }
}
