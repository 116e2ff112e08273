/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.noise.NoiseSource;
import io.github.flinkdiffusion.ops.noise.TorchGenerator;
import java.util.Map;
import org.junit.jupiter.api.Test;

class SamplerStateTest {

  private static final NoiseSource NO_NOISE =
      n -> {
        throw new AssertionError("this sampler draws no noise");
      };

  private final SamplingPlan multistep =
      Schedulers.plan(
          new SchedulerConfig("DPMSolverMultistepScheduler", Map.of("solver_order", 3), "test"), 6);

  @Test
  void modelInputIsTheScaledSampleWhereverItIsWritten() {
    SamplingPlan plan =
        Schedulers.plan(new SchedulerConfig("EulerDiscreteScheduler", Map.of(), "test"), 10);
    SamplerState state = SamplerState.start(plan, new float[] {1, -2});
    float[] batch = new float[5];
    state.modelInput(batch, 2);
    assertThat(plan.inputScale(0)).isLessThan(0.1);
    assertThat(batch).startsWith(0, 0).endsWith(0);
    assertThat(new float[] {batch[2], batch[3]}).isEqualTo(state.modelInput());
    assertThat(batch[2]).isEqualTo((float) (plan.inputScale(0) * state.sample()[0]));
  }

  @Test
  void samplesAndHistoryAreCopies() {
    SamplerState state = SamplerState.start(multistep, new TorchGenerator(1).gaussian(16));
    state.advance(new TorchGenerator(2).gaussian(16), NO_NOISE);
    float[] sample = state.sample();
    float[][] history = state.history();
    assertThat(history).hasDimensions(1, 16);
    state.advance(new TorchGenerator(3).gaussian(16), NO_NOISE);
    state.advance(new TorchGenerator(4).gaussian(16), NO_NOISE);
    SamplerState again = SamplerState.restore(multistep, 1, sample, history);
    again.advance(new TorchGenerator(3).gaussian(16), NO_NOISE);
    again.advance(new TorchGenerator(4).gaussian(16), NO_NOISE);
    assertThat(again.sample()).isEqualTo(state.sample());
  }

  @Test
  void nothingIsRememberedBeforeTheFirstAndAfterTheLastCall() {
    assertThat(multistep.historyLength(0)).isZero();
    assertThat(multistep.historyLength(1)).isEqualTo(1);
    assertThat(multistep.historyLength(3)).isEqualTo(2);
    assertThat(multistep.historyLength(6)).isZero();
  }

  @Test
  void aFinishedTrajectoryCanBeRestoredButNotAdvanced() {
    SamplerState done = SamplerState.restore(multistep, 6, new float[4], new float[0][]);
    assertThat(done.done()).isTrue();
    assertThatThrownBy(() -> done.advance(new float[4], NO_NOISE))
        .isInstanceOf(SchedulerException.class)
        .hasMessageContaining("all 6 calls");
  }

  @Test
  void whatDoesNotBelongTogetherIsNotRestored() {
    assertThatThrownBy(() -> SamplerState.restore(multistep, 7, new float[4], new float[0][]))
        .isInstanceOf(SchedulerException.class)
        .hasMessageContaining("0..6");
    assertThatThrownBy(() -> SamplerState.restore(multistep, 3, new float[4], new float[1][4]))
        .isInstanceOf(SchedulerException.class)
        .hasMessageContaining("1 remembered arrays, the plan has 2");
    assertThatThrownBy(() -> SamplerState.restore(multistep, 1, new float[4], new float[1][5]))
        .isInstanceOf(SchedulerException.class)
        .hasMessageContaining("remembered array 0 has 5 values, it must have 4");
  }

  @Test
  void anOutputOfTheWrongSizeIsRefusedBeforeAnythingChanges() {
    SamplerState state = SamplerState.start(multistep, new float[4]);
    assertThatThrownBy(() -> state.advance(new float[8], NO_NOISE))
        .isInstanceOf(SchedulerException.class)
        .hasMessageContaining("has 8 values, it must have 4");
    assertThat(state.call()).isZero();
  }

  @Test
  void dynamicThresholdingScalesByTheQuantileOfTheWholeSample() {
    float[] prediction = {0.5f, -4, 1, 2, -1, 0};
    new Limit.Dynamic(0.8, 10).apply(prediction);
    // Magnitudes 0, 0.5, 1, 1, 2, 4: the quantile at rank 4 is 2.
    assertThat(prediction).containsExactly(0.25f, -1, 0.5f, 1, -0.5f, 0);
  }

  @Test
  void dynamicThresholdingNeverStretches() {
    float[] prediction = {0.1f, -0.2f};
    new Limit.Dynamic(0.995, 10).apply(prediction);
    assertThat(prediction).containsExactly(0.1f, -0.2f);
  }
}
