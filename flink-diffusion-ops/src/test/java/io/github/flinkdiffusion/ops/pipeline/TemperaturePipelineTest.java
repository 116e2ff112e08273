/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The factor of the steps' noise, through a whole pipeline. */
class TemperaturePipelineTest {
  private static DiffusionPipeline pipeline;

  @BeforeAll
  static void open() {
    pipeline =
        Pipelines.openAs(
            "DDPMPipeline",
            Path.of("src/test/resources/fixtures/models/tiny-ddpm"),
            PipelineSettings.on(DeviceSpec.CPU));
  }

  @AfterAll
  static void close() {
    pipeline.close();
  }

  @ParameterizedTest
  @ValueSource(strings = {"DDPMScheduler", "EulerAncestralDiscreteScheduler", "DDIMScheduler"})
  void oneIsTheImageOfARequestWithoutIt(String scheduler) {
    assertThat(image(trajectory(scheduler, 1.0))).isEqualTo(image(trajectory(scheduler, null)));
  }

  @ParameterizedTest
  @ValueSource(strings = {"DDPMScheduler", "EulerAncestralDiscreteScheduler", "LCMScheduler"})
  void zeroIsTheImageOfARunWhoseStepsDrawZeros(String scheduler) {
    float[] cold = image(trajectory(scheduler, 0.0));
    DenoisingTrajectory plain = (DenoisingTrajectory) trajectory(scheduler, null);
    Trajectory silent =
        new DenoisingTrajectory(
            plain.request(),
            pipeline.model().info().basis(),
            new Beginning(
                plain.shape(),
                plain.state(),
                new Conditions(plain.conditions(), Guidance.NONE, false)),
            plain.state(),
            new Zeros(),
            Extrapolation.NONE);
    assertThat(image(silent)).isEqualTo(cold);
    assertThat(image(trajectory(scheduler, null))).isNotEqualTo(cold);
  }

  @Test
  void schedulersThatDrawNoNoiseIgnoreIt() {
    float[] plain = image(trajectory("DDIMScheduler", null));
    assertThat(image(trajectory("DDIMScheduler", 0.0))).isEqualTo(plain);
    assertThat(image(trajectory("DDIMScheduler", 3.0))).isEqualTo(plain);
  }

  private static Trajectory trajectory(String scheduler, Double temperature) {
    GenerationSpec spec =
        GenerationSpec.of("1")
            .with(Parameters.SEED, 5L)
            .with(Parameters.STEPS, 4L)
            .with(Parameters.SCHEDULER, scheduler);
    GenerationSpec asked =
        temperature == null ? spec : spec.with(Parameters.TEMPERATURE, temperature);
    return pipeline.start(List.of(pipeline.model().prepare(asked))).get(0);
  }

  private static float[] image(Trajectory trajectory) {
    while (!trajectory.done()) {
      pipeline.step(List.of(trajectory));
    }
    return pipeline.finish(List.of(trajectory)).get(0).image().data();
  }

  /** Steps' noise that is none. */
  private static final class Zeros implements TrajectoryNoise {
    @Override
    public float[] gaussian(SampleShape shape) {
      return new float[shape.size()];
    }

    @Override
    public TrajectoryNoise copy() {
      return this;
    }

    @Override
    public byte[] saveState() {
      return new byte[0];
    }

    @Override
    public TrajectoryNoise restored(byte[] saved) {
      return this;
    }
  }
}
