/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import java.util.List;
import org.junit.jupiter.api.Test;

class EnsembleTest {

  @Test
  void spreadIsTheDeviationOverSamplesAndErrorTheMeansDistance() {
    Ensemble ensemble =
        Ensemble.of(
            List.of(
                new Raster(2, 1, 2, new float[] {0, 0.5f, 0, 0.5f}),
                new Raster(2, 1, 2, new float[] {1, 0.5f, 0, 0.5f})),
            ResultMeaning.PICTURE);
    assertThat(ensemble.mean().data()).containsExactly(0.5f, 0.5f, 0, 0.5f);
    assertThat(ensemble.spread().data())
        .containsExactly(new float[] {(float) Math.sqrt(0.125), 0}, within(1e-6f));
    Raster truth = new Raster(2, 1, 2, new float[] {0.5f, 0.5f, 0, 0.9f});
    assertThat(ensemble.error(truth).data())
        .containsExactly(new float[] {0, (float) Math.sqrt(0.08)}, within(1e-6f));
  }
}
