/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.image.Raster;
import org.junit.jupiter.api.Test;

/** The filter of StreamDiffusion, whose sums are short enough to be done by hand. */
class FrameSimilarityTest {
  private static Raster raster(float... values) {
    return new Raster(1, 1, values.length, values);
  }

  @Test
  void framesAreComparedWithValuesFromMinusOneToOne() {
    // (-1, 1) and (0, 1): 1 / (sqrt 2 * 1)
    assertThat(FrameSimilarity.cosine(raster(0, 1), raster(0.5f, 1)))
        .isCloseTo(Math.sqrt(0.5), within(1e-12));
    assertThat(FrameSimilarity.cosine(raster(0, 1), raster(0, 1))).isCloseTo(1, within(1e-12));
    assertThat(FrameSimilarity.cosine(raster(0, 1), raster(1, 0))).isCloseTo(-1, within(1e-12));
    assertThat(FrameSimilarity.cosine(raster(0, 1), raster(0, 1, 1))).isZero();
    assertThat(FrameSimilarity.cosine(raster(0.5f, 0.5f), raster(0, 1))).isZero();
  }

  @Test
  void theProbabilityRisesFromTheThresholdToOne() {
    FrameSimilarity filter = new FrameSimilarity(0.98, 2);
    assertThat(filter.probability(0.5)).isZero();
    assertThat(filter.probability(0.98)).isCloseTo(0, within(1e-12));
    assertThat(filter.probability(0.99)).isCloseTo(0.5, within(1e-12));
    assertThat(filter.probability(1)).isEqualTo(1);

    assertThat(filter.repeats(0.99, 0, 0.49)).isTrue();
    assertThat(filter.repeats(0.99, 0, 0.51)).isFalse();
    assertThat(filter.repeats(0.5, 0, 0)).isFalse();
    assertThat(filter.repeats(1, 1, 0.9)).isTrue();
    assertThat(filter.repeats(1, 2, 0)).isFalse();
  }
}
