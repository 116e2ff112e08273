/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.Raster;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** A look at trajectories of a real (tiny, random) model. */
class PreviewTest {
  private static final Path FOLDER = Path.of("src/test/resources/fixtures/models/tiny-sd1");

  private static GenerationSpec spec(int side) {
    return GenerationSpec.of("a")
        .with(Parameters.PROMPT, "a cat")
        .with(Parameters.SCHEDULER, "DDIMScheduler")
        .with(Parameters.STEPS, 10L)
        .with(Parameters.WIDTH, (long) side)
        .with(Parameters.HEIGHT, (long) side);
  }

  @Test
  void aPreviewComesNearThePictureTowardsTheEndAndChangesNothing() {
    try (DiffusionPipeline pipeline = Pipelines.open(FOLDER, PipelineSettings.on(DeviceSpec.CPU))) {
      List<Trajectory> alone = pipeline.start(List.of(pipeline.model().prepare(spec(64))));
      List<Trajectory> looked = pipeline.start(List.of(pipeline.model().prepare(spec(64))));
      Raster first = pipeline.preview(looked).get(0);
      Raster last = first;
      while (!looked.get(0).done()) {
        last = pipeline.preview(looked).get(0);
        pipeline.step(looked);
        pipeline.step(alone);
      }
      Raster picture = pipeline.finish(looked).get(0).image();

      assertThat(picture.data()).isEqualTo(pipeline.finish(alone).get(0).image().data());
      assertThat(last.width()).isEqualTo(picture.width()); // small enough as it is
      assertThat(distance(last, picture)).isLessThan(distance(first, picture) / 2);
    }
  }

  @Test
  void aLargePictureHasASmallPreview() {
    try (DiffusionPipeline pipeline = Pipelines.open(FOLDER, PipelineSettings.on(DeviceSpec.CPU))) {
      List<Trajectory> large = pipeline.start(List.of(pipeline.model().prepare(spec(512))));
      int factor = 512 / ((DenoisingTrajectory) large.get(0)).shape().width();
      Raster preview = pipeline.preview(large).get(0);

      assertThat(preview.width()).isEqualTo(32 * factor).isLessThan(512);
      assertThat(preview.height()).isEqualTo(preview.width());
    }
  }

  private static double distance(Raster one, Raster other) {
    double sum = 0;
    for (int i = 0; i < one.data().length; i++) {
      sum += Math.abs(one.data()[i] - other.data()[i]);
    }
    return sum;
  }
}
