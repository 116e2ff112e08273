/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.noise.TorchGenerator;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The factor of the noise that stochastic steps draw. */
class TemperatureTest {

  private static final int SIZE = 16;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "DDPMScheduler",
        "EulerAncestralDiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "LCMScheduler",
        "SASolverScheduler",
        "TCDScheduler"
      })
  void multipliesTheNoiseThatStepsDrawAndNothingElse(String scheduler) {
    SamplingPlan plan = plan(scheduler);
    assertThat(plan.atTemperature(1)).isSameAs(plan);
    float[] asInDiffusers = sampled(plan, 1);
    assertThat(sampled(plan.atTemperature(0.5), 1))
        .isEqualTo(sampled(plan, 0.5f))
        .isNotEqualTo(asInDiffusers);
    assertThat(sampled(plan.atTemperature(0), 1)).isEqualTo(sampled(plan, 0));
  }

  @ParameterizedTest
  @ValueSource(strings = {"DDIMScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler"})
  void changesNothingWhereNoNoiseIsDrawn(String scheduler) {
    assertThat(plan(scheduler).atTemperature(0)).isEqualTo(plan(scheduler));
  }

  @ParameterizedTest
  @ValueSource(doubles = {-0.1, Double.NaN, Double.POSITIVE_INFINITY})
  void isRefusedBelowZeroAndWhenNotFinite(double temperature) {
    assertThatThrownBy(() -> plan("DDPMScheduler").atTemperature(temperature))
        .isInstanceOf(SchedulerException.class)
        .hasMessageContaining("temperature = " + temperature);
  }

  private static SamplingPlan plan(String scheduler) {
    return Schedulers.plan(new SchedulerConfig(scheduler, Map.of(), "scheduler_config.json"), 6);
  }

  /** What a toy network leads to, with a multiple of the noise drawn. */
  private static float[] sampled(SamplingPlan plan, float factor) {
    SamplerState state = SamplerState.start(plan, new TorchGenerator(1).gaussian(SIZE));
    TorchGenerator generator = new TorchGenerator(2);
    while (!state.done()) {
      float[] output = state.modelInput();
      for (int i = 0; i < SIZE; i++) {
        output[i] = (float) Math.tanh(output[i]);
      }
      state.advance(
          output,
          size -> {
            float[] drawn = generator.gaussian(size);
            for (int i = 0; i < size; i++) {
              drawn[i] *= factor;
            }
            return drawn;
          });
    }
    return state.sample();
  }
}
