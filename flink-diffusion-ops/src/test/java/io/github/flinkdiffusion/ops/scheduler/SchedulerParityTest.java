/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.noise.NoiseSource;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Whole trajectories against diffusers 0.42.0, which computes them in float32: {@code
 * src/test/python/make_scheduler_fixtures.py}.
 *
 * <p>Errors are measured on the final sample, in units of its greatest magnitude, but not of less
 * than 1. The fixtures also say how far the reference's rounding takes it from its own result in
 * float64; no case is further from the reference than that explains.
 */
class SchedulerParityTest {

  private static final double TOLERANCE = 1e-4;

  /** What all but a few cases keep in which the reference's float32 cancels. */
  private static final double USUAL_TOLERANCE = 1e-5;

  /** Classes times prediction types times spacings. */
  private static final int COMBINATIONS = 165;

  static Stream<ReferenceCase> sampled() {
    return Schedulers.supported().stream().flatMap(ReferenceCase::sampled);
  }

  static Stream<ReferenceCase> refused() {
    return Schedulers.supported().stream().flatMap(ReferenceCase::refused);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("sampled")
  void samplesAsTheReferenceDoes(ReferenceCase reference) {
    SamplingPlan plan = reference.plan();
    assertThat(plan.initNoiseSigma())
        .isCloseTo(reference.initNoiseSigma(), within(1e-6 * reference.initNoiseSigma()));
    float[] timesteps = reference.timesteps();
    assertThat(plan.calls()).isEqualTo(timesteps.length);
    for (int call = 0; call < timesteps.length; call++) {
      assertThat(plan.timestep(call))
          .as("timestep of call %d", call)
          .isCloseTo(timesteps[call], within(reference.timestepTolerance(call)));
    }

    SamplerState state = reference.start(plan);
    NoiseSource noise = reference.stepNoise();
    float[] trace = reference.trace();
    while (!state.done()) {
      int call = state.call();
      state.advance(reference.output(state.modelInput(), plan.timestep(call)), noise);
      assertThat(meanMagnitude(state.sample()))
          .as("mean magnitude after call %d", call)
          .isCloseTo(trace[call], within(1e-4 * reference.scale()));
    }
    double ownError = reference.rounding() / unit(reference.finalSample());
    assertThat(error(state.sample(), reference.finalSample()))
        .as("greatest error of the final sample")
        .isLessThan(Math.max(TOLERANCE, 2 * ownError));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("refused")
  void whatTheReferenceCannotSampleIsRefused(ReferenceCase reference) {
    assertThatThrownBy(reference::plan)
        .isInstanceOf(SchedulerException.class)
        .hasMessageContaining("supported");
  }

  /** Every prediction type in every spacing, of every class, or the reference refuses it. */
  @Test
  void everyPredictionAndSpacingIsComparedAtThreeStepCounts() {
    int combinations = 0;
    for (SchedulerReference.Scheduler scheduler : SchedulerReference.all()) {
      List<String> spacings = orNone(scheduler.words("timestep_spacing"));
      for (String prediction : orNone(scheduler.words("prediction_type"))) {
        for (String spacing : spacings) {
          long steps =
              ReferenceCase.sampled(scheduler.className())
                  .filter(one -> one.says("prediction_type", prediction, "epsilon"))
                  .filter(one -> one.says("timestep_spacing", spacing, "none"))
                  .map(ReferenceCase::steps)
                  .distinct()
                  .count();
          assertThat(steps)
              .as("%s %s %s", scheduler.className(), prediction, spacing)
              .isGreaterThanOrEqualTo(3);
          combinations++;
        }
      }
    }
    assertThat(combinations).isEqualTo(COMBINATIONS);
  }

  private static List<String> orNone(List<String> words) {
    return words.isEmpty() ? List.of("none") : words;
  }

  /** What the reference does not sample stands among the refused, each combination once. */
  @Test
  void noOtherCombinationIsSampledByTheReference() {
    for (SchedulerReference.Scheduler scheduler : SchedulerReference.all()) {
      if (scheduler.words("prediction_type").isEmpty()) {
        continue;
      }
      for (String prediction : List.of("epsilon", "sample", "v_prediction", "flow_prediction")) {
        if (!scheduler.words("prediction_type").contains(prediction)) {
          assertThat(ReferenceCase.refused(scheduler.className()))
              .as("%s %s", scheduler.className(), prediction)
              .anyMatch(one -> one.says("prediction_type", prediction, "epsilon"));
        }
      }
    }
  }

  @Test
  void nearlyAllCasesAreTenTimesCloser() {
    List<Double> errors = sampled().map(SchedulerParityTest::finalError).toList();
    long close = errors.stream().filter(error -> error < USUAL_TOLERANCE).count();
    assertThat(errors.size()).isGreaterThan(3050);
    assertThat((double) close / errors.size()).isGreaterThan(0.97);
  }

  private static double finalError(ReferenceCase reference) {
    SamplingPlan plan = reference.plan();
    SamplerState state = reference.start(plan);
    NoiseSource noise = reference.stepNoise();
    while (!state.done()) {
      state.advance(reference.output(state.modelInput(), plan.timestep(state.call())), noise);
    }
    return error(state.sample(), reference.finalSample());
  }

  private static double error(float[] actual, float[] expected) {
    assertThat(actual).hasSameSizeAs(expected);
    double worst = 0;
    for (int i = 0; i < actual.length; i++) {
      double error = Math.abs((double) actual[i] - expected[i]);
      worst = Double.isNaN(error) ? Double.POSITIVE_INFINITY : Math.max(worst, error);
    }
    return worst / unit(expected);
  }

  private static double unit(float[] sample) {
    double unit = 1;
    for (float value : sample) {
      unit = Math.max(unit, Math.abs(value));
    }
    return unit;
  }

  private static double meanMagnitude(float[] sample) {
    double sum = 0;
    for (float value : sample) {
      sum += Math.abs(value);
    }
    return sum / sample.length;
  }
}
