/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.Raster;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** A picture is led back to noise and made again; {@link PipelineParityTest} has the pictures. */
class InversionTest {
  private static final Path FOLDER = Path.of("src/test/resources/fixtures/models/tiny-sd1");
  private static final String SOURCE = "a painting of a disc";
  private static DiffusionPipeline pipeline;

  @BeforeAll
  static void open() {
    pipeline = Pipelines.open(FOLDER, PipelineSettings.on(DeviceSpec.CPU));
  }

  @AfterAll
  static void close() {
    pipeline.close();
  }

  /** Smooth, so that little is lost in the latent. */
  private static Raster picture() {
    float[] data = new float[3 * 64 * 64];
    for (int i = 0; i < data.length; i++) {
      int x = i % 64;
      int y = i / 64 % 64;
      data[i] = (float) (0.5 + 0.3 * Math.sin(x / 9.0 + i / (64 * 64)) * Math.cos(y / 7.0));
    }
    return new Raster(3, 64, 64, data);
  }

  private static GenerationSpec spec(String prompt, long steps) {
    return GenerationSpec.of("id")
        .with(Parameters.PROMPT, prompt)
        .with(Parameters.SOURCE_PROMPT, SOURCE)
        .with(Parameters.IMAGE, picture())
        .with(Parameters.STEPS, steps);
  }

  private static Raster made(GenerationSpec spec) {
    List<Trajectory> one = pipeline.start(List.of(pipeline.model().prepare(spec)));
    while (!one.get(0).done()) {
      pipeline.step(one);
    }
    return pipeline.finish(one).get(0).image();
  }

  private static double meanDifference(Raster a, Raster b) {
    double sum = 0;
    for (int i = 0; i < a.data().length; i++) {
      sum += Math.abs(a.data()[i] - b.data()[i]);
    }
    return sum / a.data().length;
  }

  /**
   * A random network is far from smooth, so that only the way back from a little noise is exact
   * enough to be seen; what is left in the limit is what the autoencoder loses.
   */
  @Test
  void theSamePromptGivesThePictureBackTheBetterTheMoreSteps() {
    GenerationSpec coarse =
        spec(SOURCE, 10).with(Parameters.GUIDANCE_SCALE, 1.0).with(Parameters.STRENGTH, 0.2);
    Raster limit = made(coarse.with(Parameters.STEPS, 200L).with(Parameters.STRENGTH, 0.02));
    double few = meanDifference(made(coarse), limit);
    double many = meanDifference(made(coarse.with(Parameters.STEPS, 50L)), limit);
    assertThat(many).isLessThan(0.03).isLessThan(few / 1.5);
  }

  @Test
  void guidanceBeginsWhereTheWayTurns() {
    Trajectory trajectory =
        pipeline.start(List.of(pipeline.model().prepare(spec("a red apple", 3)))).get(0);
    assertThat(trajectory.totalSteps()).isEqualTo(6);
    int[] rows = new int[6];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = trajectory.rows();
      pipeline.step(List.of(trajectory));
    }
    assertThat(rows).containsExactly(1, 1, 1, 2, 2, 2);
    assertThat(trajectory.done()).isTrue();
  }

  @Test
  void theDefaultsAreThoseOfAnExactInversion() {
    GenerationRequest request = pipeline.model().prepare(spec("a red apple", 3));
    assertThat(request.scheduler()).isEqualTo("DDIMScheduler");
    assertThat(request.get(Parameters.SOURCE_GUIDANCE_SCALE)).isEqualTo(1);
    assertThat(request.get(Parameters.STRENGTH)).isEqualTo(1);
  }

  @Test
  void sharesNetworkCallsWithRequestsOfOtherKinds() {
    GenerationSpec text =
        GenerationSpec.of("text")
            .with(Parameters.PROMPT, "a cat")
            .with(Parameters.SCHEDULER, "DDIMScheduler")
            .with(Parameters.STEPS, 4L);
    GenerationSpec edit = spec("a red apple", 2);
    List<Trajectory> both =
        pipeline.start(List.of(pipeline.model().prepare(edit), pipeline.model().prepare(text)));
    for (int i = 0; i < 4; i++) {
      pipeline.step(both);
    }
    Raster together = pipeline.finish(both).get(0).image();
    assertThat(meanDifference(together, made(edit))).isLessThan(1e-4);
  }

  @Test
  void refusesWhatDoesNotBelongTogether() {
    assertRefused(spec("a", 3).with(Parameters.SCHEDULER, "PNDMScheduler"), "DDIMScheduler");
    assertRefused(
        spec("a", 3).with(Parameters.MASK, new Raster(1, 64, 64, new float[64 * 64])), "mask");
    assertRefused(
        GenerationSpec.of("id").with(Parameters.PROMPT, "a").with(Parameters.SOURCE_PROMPT, SOURCE),
        "no image");
    assertRefused(
        GenerationSpec.of("id")
            .with(Parameters.PROMPT, "a")
            .with(Parameters.IMAGE, picture())
            .with(Parameters.SOURCE_GUIDANCE_SCALE, 2.0),
        "no sourcePrompt");
    assertRefused(spec("a", 2).with(Parameters.TIMESTEPS, new Numbers(900, 400)), "timesteps");
    assertRefused(spec("a", 3).with(Parameters.STRENGTH, 0.1), "strength 0.1");
  }

  private static void assertRefused(GenerationSpec spec, String because) {
    assertThatThrownBy(() -> pipeline.model().prepare(spec))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining(because);
  }
}
