/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class SchedulersTest {

  /** As it stands in Stable Diffusion 1.5. */
  private static final String STABLE_DIFFUSION =
      """
      {"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_end": 0.012,
       "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000,
       "set_alpha_to_one": false, "skip_prk_steps": true, "steps_offset": 1, "trained_betas": null,
       "clip_sample": false}
      """;

  static Iterable<String> classes() {
    return Schedulers.supported();
  }

  @Test
  void aPublicConfigMakesThePlanItsAuthorsMeant() {
    SamplingPlan plan =
        Schedulers.plan(SchedulerConfig.parse(STABLE_DIFFUSION, "sd/scheduler_config.json"), 50);
    assertThat(plan.calls()).isEqualTo(51);
    assertThat(plan.timestep(0)).isEqualTo(981);
    assertThat(plan.timestep(1)).isEqualTo(961);
    assertThat(plan.timestep(2)).isEqualTo(961);
    assertThat(plan.timestep(50)).isEqualTo(1);
    assertThat(plan.initNoiseSigma()).isEqualTo(1);
  }

  @Test
  void anotherClassTakesTheKeysItKnowsAndItsOwnDefaultsForTheRest() {
    SchedulerConfig file = SchedulerConfig.parse(STABLE_DIFFUSION, "sd/scheduler_config.json");
    SamplingPlan euler = Schedulers.plan(file.withClass("EulerDiscreteScheduler"), 50);
    // The file has no timestep_spacing: PNDM's default is leading, Euler's is linspace.
    assertThat(euler.timestep(0)).isEqualTo(999);
    assertThat(euler.initNoiseSigma()).isBetween(14.6, 14.7);
  }

  @Test
  void pythonsInfinitiesAreRead() {
    SchedulerConfig config =
        SchedulerConfig.parse(
            "{\"_class_name\": \"DPMSolverMultistepScheduler\", \"lambda_min_clipped\": -Infinity}",
            "file");
    assertThat(Schedulers.plan(config, 5))
        .isEqualTo(Schedulers.plan(config("DPMSolverMultistepScheduler"), 5));
  }

  @ParameterizedTest
  @MethodSource("classes")
  void keysThatAClassDoesNotKnowAreIgnored(String className) {
    SchedulerConfig plain = config(className).with("skip_prk_steps", true);
    SchedulerConfig littered =
        plain
            .with("_diffusers_version", "0.21.4")
            .with("decay", 0.9999)
            .with("sample_size", "large");
    assertThat(Schedulers.plan(littered, 5)).isEqualTo(Schedulers.plan(plain, 5));
  }

  @ParameterizedTest
  @MethodSource("classes")
  void everyClassPlansOneStepAndItsMost(String className) {
    SchedulerConfig config =
        config(className).with("skip_prk_steps", true).with("num_train_timesteps", 1000);
    assertThatCode(() -> Schedulers.plan(config, 1)).doesNotThrowAnyException();
    assertThatThrownBy(() -> Schedulers.plan(config, 0))
        .isInstanceOf(SchedulerException.class)
        .hasMessageContaining("cannot sample in 0 steps; supported: 1..");
    assertThatThrownBy(() -> Schedulers.plan(config, 1001))
        .isInstanceOf(SchedulerException.class)
        .hasMessageContaining("cannot sample in 1001 steps; supported: 1..");
  }

  @ParameterizedTest
  @MethodSource("classes")
  void skippedStepsMustLeaveOne(String className) {
    SchedulerConfig config = config(className).with("skip_prk_steps", true);
    assertThatThrownBy(
            () -> Schedulers.plan(config, 4, SamplingOptions.DEFAULTS.withSkippedSteps(4)))
        .isInstanceOf(SchedulerException.class)
        .hasMessageContaining("cannot skip 4 of 4 steps; supported: 0..3");
  }

  @ParameterizedTest
  @CsvSource({
    "DDIMScheduler, prediction_type, flow_prediction, 'epsilon, sample, v_prediction'",
    "DDIMScheduler, timestep_spacing, even, 'linspace, leading, trailing'",
    "PNDMScheduler, prediction_type, sample, 'epsilon, v_prediction'",
    "EulerDiscreteScheduler, beta_schedule, sigmoid, 'linear, scaled_linear, squaredcos_cap_v2'",
    "EulerDiscreteScheduler, interpolation_type, cubic, 'linear, log_linear'",
    "EulerDiscreteScheduler, final_sigmas_type, one, 'zero, sigma_min'",
    "DPMSolverMultistepScheduler, algorithm_type, dpm, 'dpmsolver, dpmsolver++, sde-dpmsolver,"
        + " sde-dpmsolver++'",
    "DPMSolverMultistepScheduler, solver_type, euler, 'midpoint, heun'",
    "DDPMScheduler, variance_type, none, 'fixed_small, fixed_small_log'",
    "DEISMultistepScheduler, algorithm_type, sde, 'deis, dpmsolver, dpmsolver++'",
    "UniPCMultistepScheduler, solver_type, bh3, 'bh1, bh2'",
    "FlowMatchEulerDiscreteScheduler, time_shift_type, none, 'exponential, linear'",
    "EDMEulerScheduler, sigma_schedule, even, 'karras, exponential'",
    "DDIMInverseScheduler, timestep_spacing, linspace, 'leading, trailing'"
  })
  void aValueThatIsNotSupportedIsNamedWithWhatIs(
      String className, String key, String value, String supported) {
    SchedulerConfig config =
        new SchedulerConfig(className, Map.of(key, value), "model/scheduler_config.json");
    assertThatThrownBy(() -> Schedulers.plan(config, 10))
        .isInstanceOf(SchedulerException.class)
        .hasMessageStartingWith(
            "model/scheduler_config.json: " + className + " has " + key + " = " + value)
        .hasMessageContaining("supported: " + supported);
  }

  @Test
  void aValueOfTheWrongTypeIsNamed() {
    assertThatThrownBy(
            () -> Schedulers.plan(config("DDIMScheduler").with("clip_sample", "yes"), 10))
        .hasMessageContaining("clip_sample = yes; supported: true, false");
    assertThatThrownBy(() -> Schedulers.plan(config("DDIMScheduler").with("beta_start", "low"), 10))
        .hasMessageContaining("beta_start = low; supported: a number");
    assertThatThrownBy(
            () ->
                Schedulers.plan(config("DPMSolverSinglestepScheduler").with("solver_order", 4), 10))
        .hasMessageContaining("solver_order = 4; supported: 1..3");
    assertThatThrownBy(
            () -> Schedulers.plan(config("DDIMScheduler").with("trained_betas", 0.1), 10))
        .hasMessageContaining("trained_betas = 0.1; supported: a list of numbers");
  }

  @Test
  void anUnknownClassIsNamedWithTheKnownOnes() {
    assertThatThrownBy(() -> Schedulers.plan(config("AmusedScheduler"), 10))
        .isInstanceOf(SchedulerException.class)
        .hasMessageContaining("_class_name is AmusedScheduler; supported: CMStochastic");
  }

  @ParameterizedTest
  @ValueSource(strings = {"[]", "{}", "{\"_class_name\": 3}", "{\"_class_name\": \"DDIM"})
  void aFileThatIsNoSchedulerConfigIsRefusedByName(String json) {
    assertThatThrownBy(() -> SchedulerConfig.parse(json, "some/file.json"))
        .isInstanceOf(SchedulerException.class)
        .hasMessageStartingWith("some/file.json: ");
  }

  @Test
  void epsilonPredictionAtZeroSignalIsRefusedAndNotDividedByZero() {
    SchedulerConfig config =
        config("DDIMScheduler")
            .with("rescale_betas_zero_snr", true)
            .with("timestep_spacing", "trailing");
    assertThatThrownBy(() -> Schedulers.plan(config, 10))
        .isInstanceOf(SchedulerException.class)
        .hasMessageContaining("no finite coefficients at network call 0 (timestep 999.0)");
    assertThatCode(() -> Schedulers.plan(config.with("prediction_type", "v_prediction"), 10))
        .doesNotThrowAnyException();
  }

  @Test
  void timestepsBeyondTrainingAreRefused() {
    SchedulerConfig config = config("DDIMScheduler").with("steps_offset", 50);
    assertThatThrownBy(() -> Schedulers.plan(config, 100))
        .isInstanceOf(SchedulerException.class)
        .hasMessageContaining("timestep 1040, the model was trained on 0..999");
  }

  @Test
  void optionsOutOfRangeAreRefused() {
    assertThatThrownBy(() -> SamplingOptions.DEFAULTS.withEta(1.5))
        .hasMessageContaining("eta = 1.5");
    assertThatThrownBy(() -> SamplingOptions.DEFAULTS.withMu(Double.NaN))
        .hasMessageContaining("mu = NaN");
    assertThatThrownBy(() -> SamplingOptions.DEFAULTS.withSkippedSteps(-1))
        .hasMessageContaining("skippedSteps = -1");
    assertThatThrownBy(() -> SamplingOptions.DEFAULTS.withTimesteps(List.of(5.0, 5.0)))
        .hasMessageContaining("timesteps = [5.0, 5.0]");
    assertThatThrownBy(() -> SamplingOptions.DEFAULTS.withSigmas(List.of(2.0, -1.0)))
        .hasMessageContaining("sigmas = [2.0, -1.0]");
    assertThatThrownBy(() -> new Churn(1, 3, 2, 1)).hasMessageContaining("s_tmax = 2.0");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "DDIMScheduler | churn | EDMEulerScheduler, EulerDiscreteScheduler",
        "DDIMScheduler | timesteps | CMStochasticIterativeScheduler, DDPMScheduler,"
            + " DPMSolverMultistepScheduler, DPMSolverSinglestepScheduler, EulerDiscreteScheduler,"
            + " FlowMatchEulerDiscreteScheduler, FlowMatchLCMScheduler, HeunDiscreteScheduler,"
            + " LCMScheduler, TCDScheduler",
        "EDMEulerScheduler | sigmas | EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler,"
            + " FlowMatchLCMScheduler, UniPCMultistepScheduler",
      })
  void optionsWithoutUseAreRefusedByNameOfThoseThatHaveOne(
      String className, String option, String supported) {
    SamplingOptions options =
        switch (option) {
          case "churn" -> withChurn(Churn.of(1));
          case "timesteps" -> SamplingOptions.DEFAULTS.withTimesteps(List.of(9.0));
          default -> SamplingOptions.DEFAULTS.withSigmas(List.of(1.0));
        };
    assertThatThrownBy(() -> Schedulers.plan(config(className), 1, options))
        .isInstanceOf(SchedulerException.class)
        .hasMessage(
            "scheduler_config.json: %s takes no %s; supported by %s", className, option, supported);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "DDPMScheduler | 2 | 9 | was given 1 timesteps for 2 steps; supported: 2",
        "DDPMScheduler | 1 | 9.5 | timestep 9.5; supported: whole numbers in 0..999",
        "EulerDiscreteScheduler | 1 | 999.5 | timestep 999.5; supported: 0..999",
        "LCMScheduler | 1 | 1000 | timestep 1000.0; supported: whole numbers in 0..999",
      })
  void listedTimestepsMustFitTheModel(String className, int steps, double timestep, String says) {
    SamplingOptions options = SamplingOptions.DEFAULTS.withTimesteps(List.of(timestep));
    assertThatThrownBy(() -> Schedulers.plan(config(className), steps, options))
        .isInstanceOf(SchedulerException.class)
        .hasMessageContaining(says);
  }

  @Test
  void eulersSigmasEndWithTheOneToEndAt() {
    SchedulerConfig config = config("EulerDiscreteScheduler");
    SamplingOptions options = SamplingOptions.DEFAULTS.withSigmas(List.of(14.0, 3.0, 0.0));
    assertThat(Schedulers.plan(config, 2, options).noiseLevel(1)).isEqualTo(3);
    assertThatThrownBy(() -> Schedulers.plan(config, 3, options))
        .hasMessageContaining("was given 3 sigmas for 3 steps; supported: 4");
    assertThatThrownBy(
            () -> Schedulers.plan(config, 2, options.withTimesteps(List.of(900.0, 10.0))))
        .hasMessageContaining("2 timesteps beside sigmas for 2 steps; supported: 0");
  }

  @Test
  void flowsBeginAtOneAtMost() {
    SamplingOptions options = SamplingOptions.DEFAULTS.withSigmas(List.of(2.0));
    assertThatThrownBy(() -> Schedulers.plan(config("FlowMatchEulerDiscreteScheduler"), 1, options))
        .hasMessageContaining("sigmas from 2.0 on; supported: 1 downwards");
  }

  private static SamplingOptions withChurn(Churn churn) {
    return new SamplingOptions(
        null, null, 0, false, churn, List.of(), List.of(), null, 1, Jumps.DEFAULT);
  }

  @Test
  void churnDrawsOnlyWhereItApplies() {
    SamplingOptions options = withChurn(new Churn(3, 0.5, 5, 1));
    SamplingPlan plan = Schedulers.plan(config("EulerDiscreteScheduler"), 20, options);
    for (int call = 0; call < plan.calls(); call++) {
      double sigma = plan.noiseLevel(call);
      assertThat(plan.needsNoise(call)).isEqualTo(sigma >= 0.5 && sigma <= 5);
    }
  }

  private static SchedulerConfig config(String className) {
    return new SchedulerConfig(className, Map.of(), "scheduler_config.json");
  }
}
