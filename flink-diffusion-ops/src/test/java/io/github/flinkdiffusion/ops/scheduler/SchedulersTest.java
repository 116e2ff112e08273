package io.github.flinkdiffusion.ops.scheduler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

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
    SchedulerConfig config = config(className).with("skip_prk_steps", true);
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
    "DPMSolverMultistepScheduler, algorithm_type, dpm, 'dpmsolver, dpmsolver++, sde-dpmsolver, sde-dpmsolver++'",
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
                Schedulers.plan(config("DPMSolverMultistepScheduler").with("solver_order", 4), 10))
        .hasMessageContaining("solver_order = 4; supported: 1..3");
    assertThatThrownBy(
            () -> Schedulers.plan(config("DDIMScheduler").with("trained_betas", 0.1), 10))
        .hasMessageContaining("trained_betas = 0.1; supported: a list of numbers");
  }

  @Test
  void anUnknownClassIsNamedWithTheKnownOnes() {
    assertThatThrownBy(() -> Schedulers.plan(config("AmusedScheduler"), 10))
        .isInstanceOf(SchedulerException.class)
        .hasMessageContaining("_class_name is AmusedScheduler; supported: DDIM");
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
  }

  private static SchedulerConfig config(String className) {
    return new SchedulerConfig(className, Map.of(), "scheduler_config.json");
  }
}
