/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.noise.TorchGenerator;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** A way shortened, and one way after another: DDIM's inversion, then DDIM. */
class PlansInARowTest {
  private static final Map<String, Object> STABLE_DIFFUSION =
      Map.of(
          "beta_schedule",
          "scaled_linear",
          "beta_start",
          0.00085,
          "beta_end",
          0.012,
          "clip_sample",
          false,
          "set_alpha_to_one",
          false,
          "steps_offset",
          1);

  private static SchedulerConfig config(String className) {
    return new SchedulerConfig(className, STABLE_DIFFUSION, "test");
  }

  private static SamplingPlan thereAndBack(int steps) {
    return Schedulers.plan(config("DDIMInverseScheduler"), steps)
        .then(Schedulers.plan(config("DDIMScheduler"), steps));
  }

  /** A network that is right about normally distributed pictures of deviation 0.6. */
  private static double worstReconstruction(int steps) {
    SamplingPlan plan = thereAndBack(steps);
    float[] picture = {-1.2f, -0.6f, 0, 0.3f, 0.9f};
    SamplingPlan levels = Schedulers.plan(config("DDIMScheduler").with("steps_offset", 0), 1000);
    SamplerState state = SamplerState.start(plan, picture);
    while (!state.done()) {
      int t = (int) plan.timestep(state.call());
      double signal = levels.signalLevel(999 - t);
      double noise = Math.sqrt(1 - signal * signal);
      float[] x = state.modelInput();
      float[] output = new float[x.length];
      for (int i = 0; i < x.length; i++) {
        output[i] = (float) (noise * x[i] / (0.36 * signal * signal + noise * noise));
      }
      state.advance(output, new TorchGenerator(0));
    }
    double worst = 0;
    for (int i = 0; i < picture.length; i++) {
      worst = Math.max(worst, Math.abs(state.sample()[i] - picture[i]));
    }
    return worst;
  }

  @Test
  void inversionAndSamplingMeetTheBetterTheMoreSteps() {
    double few = worstReconstruction(10);
    double more = worstReconstruction(50);
    double many = worstReconstruction(200);
    assertThat(more).isLessThan(few / 3);
    assertThat(many).isLessThan(more / 3).isLessThan(0.02);
  }

  @Test
  void theTimestepsGoUpAndThenDown() {
    SamplingPlan plan = thereAndBack(4);
    double[] timesteps = new double[plan.calls()];
    for (int i = 0; i < timesteps.length; i++) {
      timesteps[i] = plan.timestep(i);
    }
    assertThat(timesteps).containsExactly(1, 251, 501, 751, 751, 501, 251, 1);
  }

  @Test
  void theBeginningOfAMultistepWayRemembersNothingAtItsEnd() {
    SamplingPlan whole = Schedulers.plan(config("DPMSolverMultistepScheduler"), 6);
    SamplingPlan begun = whole.first(3);
    assertThat(whole.historyLength(3)).isPositive();
    assertThat(begun.calls()).isEqualTo(3);
    assertThat(begun.historyLength(3)).isZero();
    assertThat(begun.timestep(2)).isEqualTo(whole.timestep(2));
  }

  @Test
  void refusesWhatCanNotBeCutOrJoined() {
    SamplingPlan plan = Schedulers.plan(config("DDIMScheduler"), 4);
    assertThatThrownBy(() -> plan.first(0)).isInstanceOf(SchedulerException.class);
    assertThatThrownBy(() -> plan.first(5))
        .isInstanceOf(SchedulerException.class)
        .hasMessageContaining("5 calls of 4");
    SamplingPlan euler = Schedulers.plan(config("EulerDiscreteScheduler"), 4);
    assertThatThrownBy(() -> plan.then(euler))
        .isInstanceOf(SchedulerException.class)
        .hasMessageContaining("deviation");
  }

  @Test
  void aRequestMayNameAnotherDistilledScheduleThanTheConfig() {
    SamplingOptions forty = SamplingOptions.DEFAULTS.withOriginalInferenceSteps(40);
    assertThat(Schedulers.plan(config("LCMScheduler"), 8, forty))
        .isEqualTo(Schedulers.plan(config("LCMScheduler").with("original_inference_steps", 40), 8));
    assertThatThrownBy(() -> Schedulers.plan(config("DDIMScheduler"), 8, forty))
        .isInstanceOf(SchedulerException.class)
        .hasMessageContaining("originalInferenceSteps")
        .hasMessageContaining("LCMScheduler, TCDScheduler");
    assertThatThrownBy(
            () ->
                Schedulers.plan(
                    config("TCDScheduler"),
                    8,
                    SamplingOptions.DEFAULTS.withOriginalInferenceSteps(2000)))
        .isInstanceOf(SchedulerException.class)
        .hasMessageContaining("2000");
  }

  @Test
  void strengthTakesTheCleanPartOfADistilledSchedule() {
    SamplingPlan half =
        Schedulers.plan(config("LCMScheduler"), 4, SamplingOptions.DEFAULTS.withStrength(0.5));
    assertThat(half.calls()).isEqualTo(4);
    // 25 of the 50 distilled steps, 20 timesteps apart.
    assertThat(half.timestep(0)).isEqualTo(499);
  }
}
