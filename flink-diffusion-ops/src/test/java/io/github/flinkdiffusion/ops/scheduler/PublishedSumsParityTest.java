/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.noise.TorchGenerator;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The sums and means of magnitudes that diffusers' own scheduler tests hold, for whole trajectories
 * of the toy model {@code sample * t / (t + 1)} from a ramp of 768 values.
 *
 * <p>diffusers asserts some of these values twice (on another device, or after passing the config
 * through other classes and back); they stand here once. With both asserts of a sum and a mean, and
 * with the repetitions, the rows stand for about 140 asserts of these classes. The rest of the
 * asserts in its 26 files are of {@link #classesThatThereAreNot}, or the same once more for a GPU.
 *
 * <p>Loops: {@code plain}; {@code scaled}, as those tests run the schedulers that scale the
 * network's input, which takes the scaled input for the sample (a slip that is now part of the
 * values); {@code noised}, the last two steps of ten (DDPM: of a thousand) from the ramp mixed with
 * a falling ramp for noise; {@code noised-5}, the last five; {@code noised-scaled}, both; {@code
 * late}, without the first three steps; {@code plain96} and {@code noised96}, ramps of 96 values;
 * {@code raw}, which shows the network the sample as it is. Where a sum differs by device, it is
 * the CPU's; the mean of {@code DPMSolverMultistepInverseScheduler} with Karras sigmas is that of
 * 0.42.0, since the published one, 1.7833, is of an earlier placement.
 *
 * <p>Not here: {@code IPNDMScheduler}'s mean, of two loops in a row that share their history;
 * {@code SASolverScheduler}'s loops that draw from a generator nobody has seeded; {@code
 * ScoreSdeVeScheduler}'s sum, of 2,000 sigmas beside three levels and of norms over a batch of
 * four.
 */
class PublishedSumsParityTest {

  private static final double NOT_PUBLISHED = -1;

  @ParameterizedTest(name = "{0} {1} steps, {2} {3}")
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "DDIMScheduler|10|plain|{}|172.0067|0.223967",
        "DDIMScheduler|10|plain|{'prediction_type':'v_prediction'}|52.5302|0.0684",
        "DDIMScheduler|10|plain|{'set_alpha_to_one':true,'beta_start':0.01}|149.8295|0.1951",
        "DDIMScheduler|10|plain|{'set_alpha_to_one':false,'beta_start':0.01}|149.0784|0.1941",
        "DDIMScheduler|10|noised|{}|354.5418|0.4616",
        "DDIMInverseScheduler|10|plain|{}|671.6816|0.8746",
        "DDIMInverseScheduler|10|plain|{'prediction_type':'v_prediction'}|1394.2185|1.8154",
        "DDIMInverseScheduler|10|plain|{'set_alpha_to_one':true,'beta_start':0.01}|539.9622|0.7031",
        "DDIMInverseScheduler|10|plain|{'set_alpha_to_one':false,'beta_start':0.01}|542.6722|0.7066",
        "DDPMScheduler|1000|plain|{}|258.9606|0.3372",
        "DDPMScheduler|1000|plain|{'prediction_type':'v_prediction'}|202.0296|0.2631",
        "PNDMScheduler|10|plain|{}|198.1318|0.2580",
        "PNDMScheduler|10|plain|{'prediction_type':'v_prediction'}|67.3986|0.0878",
        "PNDMScheduler|10|plain|{'set_alpha_to_one':true,'beta_start':0.01}|230.0399|0.2995",
        "PNDMScheduler|10|plain|{'set_alpha_to_one':false,'beta_start':0.01}|186.9482|0.2434",
        "LMSDiscreteScheduler|10|scaled|{'num_train_timesteps':1100}|1006.388|1.31",
        "LMSDiscreteScheduler|10|scaled|{'num_train_timesteps':1100,'prediction_type':'v_prediction'}|0.0017|2.2676e-06",
        "LMSDiscreteScheduler|10|scaled|{'num_train_timesteps':1100,'use_karras_sigmas':true}|3812.9927|4.9648",
        "LMSDiscreteScheduler|10|noised-scaled|{'num_train_timesteps':1100}|27663.6895|36.0204",
        "EulerDiscreteScheduler|10|scaled|{'num_train_timesteps':1100}|10.0807|0.0131",
        "EulerDiscreteScheduler|10|scaled|{'num_train_timesteps':1100,'prediction_type':'v_prediction'}|0.0002|2.2676e-06",
        "EulerDiscreteScheduler|10|scaled|{'num_train_timesteps':1100,'use_karras_sigmas':true}|124.522995|0.162139",
        "EulerDiscreteScheduler|10|noised-scaled|{'num_train_timesteps':1100}|57062.9297|74.3007",
        "EulerAncestralDiscreteScheduler|10|scaled|{'num_train_timesteps':1100}|152.3192|0.1983",
        "EulerAncestralDiscreteScheduler|10|scaled|{'num_train_timesteps':1100,'prediction_type':'v_prediction'}|108.4439|0.1412",
        "EulerAncestralDiscreteScheduler|10|noised-scaled|{'num_train_timesteps':1100}|56163.0508|73.1290",
        "HeunDiscreteScheduler|10|scaled|{'num_train_timesteps':1100,'beta_start':0.0001,'beta_end':0.02}|0.1233|0.0002",
        "HeunDiscreteScheduler|10|scaled|{'num_train_timesteps':1100,'beta_start':0.0001,'beta_end':0.02,'prediction_type':'v_prediction'}|4.6934e-07|6.1112e-10",
        "HeunDiscreteScheduler|10|scaled|{'num_train_timesteps':1100,'beta_start':0.0001,'beta_end':0.02,'use_karras_sigmas':true}|0.00015|1.98695e-07",
        "HeunDiscreteScheduler|10|noised-scaled|{'num_train_timesteps':1100,'beta_start':0.0001,'beta_end':0.02}|75074.8906|97.7538",
        "KDPM2DiscreteScheduler|10|scaled|{'num_train_timesteps':1100,'beta_start':0.0001,'beta_end':0.02}|20.4125|0.0266",
        "KDPM2DiscreteScheduler|10|scaled|{'num_train_timesteps':1100,'beta_start':0.0001,'beta_end':0.02,'prediction_type':'v_prediction'}|4.6934e-07|6.1112e-10",
        "KDPM2DiscreteScheduler|10|noised-scaled|{'num_train_timesteps':1100,'beta_start':0.0001,'beta_end':0.02}|70408.4062|91.6776",
        "KDPM2AncestralDiscreteScheduler|10|scaled|{'num_train_timesteps':1100,'beta_start':0.0001,'beta_end':0.02}|13979.9433|18.2030",
        "KDPM2AncestralDiscreteScheduler|10|scaled|{'num_train_timesteps':1100,'beta_start':0.0001,'beta_end':0.02,'prediction_type':'v_prediction'}|331.8133|0.4320",
        "KDPM2AncestralDiscreteScheduler|10|noised-scaled|{'num_train_timesteps':1100,'beta_start':0.0001,'beta_end':0.02}|93087.3437|121.2074",
        "DPMSolverMultistepScheduler|10|plain|{'lower_order_final':false,'final_sigmas_type':'sigma_min'}|-1|0.3301",
        "DPMSolverMultistepScheduler|10|plain|{'lower_order_final':false,'final_sigmas_type':'sigma_min','thresholding':true,'dynamic_thresholding_ratio':0.87,'sample_max_value':0.5}|-1|1.1364",
        "DPMSolverMultistepScheduler|10|plain|{'lower_order_final':false,'final_sigmas_type':'sigma_min','prediction_type':'v_prediction'}|-1|0.2251",
        "DPMSolverMultistepScheduler|10|plain|{'lower_order_final':false,'final_sigmas_type':'sigma_min','prediction_type':'v_prediction','use_karras_sigmas':true}|-1|0.2096",
        "DPMSolverMultistepScheduler|10|plain|{'lower_order_final':false,'final_sigmas_type':'sigma_min','prediction_type':'v_prediction','use_lu_lambdas':true}|-1|0.1554",
        "DPMSolverMultistepScheduler|10|noised-5|{'lower_order_final':false,'final_sigmas_type':'sigma_min'}|318.4111|0.4146",
        "DPMSolverSinglestepScheduler|10|plain|{'final_sigmas_type':'sigma_min'}|-1|0.2791",
        "DPMSolverSinglestepScheduler|10|plain|{'final_sigmas_type':'sigma_min','prediction_type':'v_prediction'}|-1|0.1453",
        "DPMSolverSinglestepScheduler|10|plain|{'final_sigmas_type':'sigma_min','use_karras_sigmas':true}|-1|0.2248",
        "DPMSolverSinglestepScheduler|10|plain|{'final_sigmas_type':'sigma_min','prediction_type':'v_prediction','use_karras_sigmas':true}|-1|0.0649",
        "DPMSolverSinglestepScheduler|50|late|{'final_sigmas_type':'sigma_min'}|-1|0.2574",
        "DPMSolverSinglestepScheduler|10|noised-5|{'final_sigmas_type':'sigma_min'}|269.2187|0.3505",
        "DEISMultistepScheduler|10|plain|{}|-1|0.23916",
        "DEISMultistepScheduler|10|plain|{'prediction_type':'v_prediction'}|-1|0.091",
        "DEISMultistepScheduler|10|noised|{}|315.3016|0.41054",
        "UniPCMultistepScheduler|10|plain|{'final_sigmas_type':'sigma_min'}|-1|0.2464",
        "UniPCMultistepScheduler|10|plain|{'final_sigmas_type':'sigma_min','use_karras_sigmas':true}|-1|0.2925",
        "UniPCMultistepScheduler|10|plain|{'final_sigmas_type':'sigma_min','prediction_type':'v_prediction'}|-1|0.1014",
        "UniPCMultistepScheduler|10|plain|{'final_sigmas_type':'sigma_min','prediction_type':'v_prediction','use_karras_sigmas':true}|-1|0.1966",
        "UniPCMultistepScheduler|10|noised|{'final_sigmas_type':'sigma_min'}|315.5757|0.4109",
        "UniPCMultistepScheduler|10|plain96|{'final_sigmas_type':'sigma_min'}|-1|0.2441",
        "UniPCMultistepScheduler|10|plain96|{'final_sigmas_type':'sigma_min','use_karras_sigmas':true}|-1|0.2898",
        "UniPCMultistepScheduler|10|plain96|{'final_sigmas_type':'sigma_min','prediction_type':'v_prediction'}|-1|0.1014",
        "UniPCMultistepScheduler|10|plain96|{'final_sigmas_type':'sigma_min','prediction_type':'v_prediction','use_karras_sigmas':true}|-1|0.1944",
        "UniPCMultistepScheduler|10|noised96|{'final_sigmas_type':'sigma_min'}|39.0870|0.4072",
        "LCMScheduler|1|plain|{}|18.7097|0.0244",
        "LCMScheduler|10|plain|{}|197.7616|0.2580",
        "TCDScheduler|1|plain|{}|29.8715|0.0389",
        "TCDScheduler|10|plain|{}|181.2040|0.2359",
        "EDMEulerScheduler|10|input|{'num_train_timesteps':256}|34.1855|0.044",
        "SASolverScheduler|10|scaled|{'num_train_timesteps':1100}|337.394287|0.439315",
        "SASolverScheduler|10|scaled|{'num_train_timesteps':1100,'use_karras_sigmas':true}|837.255493|1.090176",
        "CMStochasticIterativeScheduler|1|plain|{'num_train_timesteps':201}|192.7614|0.2510",
        "EDMDPMSolverMultistepScheduler|10|raw|{'lower_order_final':false,'final_sigmas_type':'sigma_min'}|-1|0.0001",
        "EDMDPMSolverMultistepScheduler|10|raw-noised-5|{'lower_order_final':false,'final_sigmas_type':'sigma_min'}|8.1661|0.0106",
        "EDMDPMSolverMultistepScheduler|10|raw|{'lower_order_final':false,'final_sigmas_type':'sigma_min','thresholding':true,'dynamic_thresholding_ratio':0.87,'sample_max_value':0.5}|-1|0.0080",
        "EDMDPMSolverMultistepScheduler|10|raw|{'lower_order_final':false,'final_sigmas_type':'sigma_min','prediction_type':'v_prediction'}|-1|0.0092",
        "DPMSolverMultistepInverseScheduler|10|plain|{'lower_order_final':false}|-1|0.7047",
        "DPMSolverMultistepInverseScheduler|10|plain|{'lower_order_final':false,'thresholding':true,'dynamic_thresholding_ratio':0.87,'sample_max_value':0.5}|-1|19.8933",
        "DPMSolverMultistepInverseScheduler|10|plain|{'lower_order_final':false,'prediction_type':'v_prediction'}|-1|1.5194",
        "DPMSolverMultistepInverseScheduler|10|plain|{'lower_order_final':false,'prediction_type':'v_prediction','use_karras_sigmas':true}|-1|1.7816",
        "DPMSolverSDEScheduler|10|scaled|{'num_train_timesteps':1100,'beta_start':0.0001,'beta_end':0.02,'noise_sampler_seed':0}|162.523834|0.211620",
        "DPMSolverSDEScheduler|10|scaled|{'num_train_timesteps':1100,'beta_start':0.0001,'beta_end':0.02,'noise_sampler_seed':0,'prediction_type':'v_prediction'}|119.848755|0.156053",
        "DPMSolverSDEScheduler|10|scaled|{'num_train_timesteps':1100,'beta_start':0.0001,'beta_end':0.02,'noise_sampler_seed':0,'use_karras_sigmas':true}|170.313522|0.221762"
      })
  void theSumAndMeanAreThosePublished(
      String className, int steps, String loop, String config, double sum, double mean) {
    float[] sample = run(className, steps, loop, config.replace('\'', '"'));
    double magnitudes = sumOfMagnitudes(sample);
    if (sum != NOT_PUBLISHED) {
      // Sums of tens of thousands are float32 sums in the tests they come from.
      assertThat(magnitudes).isCloseTo(sum, within(1e-2 + 1e-6 * sum));
    }
    assertThat(magnitudes / sample.length).isCloseTo(mean, within(1e-3));
  }

  @Test
  void theSumOfListedTimestepsIsThatPublished() {
    SamplingPlan plan =
        Schedulers.plan(
            new SchedulerConfig(
                "CMStochasticIterativeScheduler", Map.of("num_train_timesteps", 201), "published"),
            2,
            SamplingOptions.DEFAULTS.withTimesteps(List.of(106.0, 0.0)));
    double sum = sumOfMagnitudes(sampled(SamplerState.start(plan, ramp(768, false)), "plain"));
    assertThat(sum).isCloseTo(347.6357, within(1e-2));
  }

  /**
   * Three published values do not hold, because float32 cancellation made them and a plan is
   * compiled in double precision.
   *
   * <p>{@code KDPM2AncestralDiscreteScheduler} of 0.42.0 computes the sigma it aims at as sqrt(to²
   * - up²); that is to² / from, and the values here are those that diffusers published after it
   * changed the formula. {@code DDPMScheduler} computes 1 - alphaBar(1) / alphaBar(0), of which
   * float32 keeps three digits.
   */
  @ParameterizedTest(name = "{0} {1} steps, {2} {3}")
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "DDPMScheduler|1000|noised|{}|387.9466|387.9676",
        "KDPM2AncestralDiscreteScheduler|10|scaled|{'num_train_timesteps':1100,'beta_start':0.0001,'beta_end':0.02}|13849.3877|13979.9433",
        "KDPM2AncestralDiscreteScheduler|10|scaled|{'num_train_timesteps':1100,'beta_start':0.0001,'beta_end':0.02,'prediction_type':'v_prediction'}|328.9970|331.8133"
      })
  void whatFloat32CancellationMadeIsNotReproduced(
      String className, int steps, String loop, String config, double published, double exact) {
    double sum = sumOfMagnitudes(run(className, steps, loop, config.replace('\'', '"')));
    assertThat(sum).isCloseTo(exact, within(1e-2 + 1e-6 * exact));
    assertThat(sum).isNotCloseTo(published, within(1e-2));
  }

  /**
   * Classes whose published sums are not checked because the class is not there. Whoever adds one
   * of these moves its values up.
   */
  @ParameterizedTest(name = "{0}: {2}")
  @CsvSource(
      delimiter = '|',
      value = {
        "DDIMParallelScheduler | 12 | the values of DDIMScheduler, and a batch method that only"
            + " parallel sampling uses",
        "DDPMParallelScheduler | 8 | the values of DDPMScheduler, and a batch method that only"
            + " parallel sampling uses",
        "UnCLIPScheduler | 4 | of unCLIP's pixel decoders"
      })
  void classesThatThereAreNot(String className, int asserts, String why) {
    assertThat(Schedulers.supported())
        .as("%s (%d asserts): %s", className, asserts, why)
        .doesNotContain(className);
  }

  /**
   * Variances of one step, which diffusers' tests publish too: the square of the weight that noise
   * has in the plan.
   */
  @ParameterizedTest(name = "{0} from {2} to {3}")
  @CsvSource({
    "DDIMScheduler, 50, 420, 400, 0.14771",
    "DDIMScheduler, 50, 980, 960, 0.32460",
    "DDIMScheduler, 1000, 487, 486, 0.00979",
    "DDIMScheduler, 1000, 999, 998, 0.02",
    "DDPMScheduler, 1000, 487, 486, 0.00979",
    "DDPMScheduler, 1000, 999, 998, 0.02"
  })
  void theVarianceOfAStepIsThatPublished(
      String className, int steps, int from, int to, double variance) {
    SamplingPlan plan =
        Schedulers.plan(
            new SchedulerConfig(className, Map.of("beta_end", 0.02), "published"),
            steps,
            SamplingOptions.DEFAULTS.withEta(1));
    int call = 0;
    while (plan.timestep(call) != from) {
      call++;
    }
    assertThat(plan.timestep(call + 1)).isEqualTo(to);
    WeightedSum next = plan.step(call).next();
    double weight = 0;
    for (int i = 0; i < next.positions().length; i++) {
      weight += next.positions()[i] == Linear.NOISE ? next.weights()[i] : 0;
    }
    assertThat(weight * weight).isCloseTo(variance, within(1e-5));
  }

  private static double sumOfMagnitudes(float[] sample) {
    double sum = 0;
    for (float value : sample) {
      sum += Math.abs(value);
    }
    return sum;
  }

  private static float[] run(String className, int steps, String loop, String config) {
    int size = loop.endsWith("96") ? 96 : 768;
    boolean noised = loop.contains("noised");
    int skipped = loop.equals("late") ? 3 : loop.endsWith("noised-5") ? 5 : noised ? steps - 2 : 0;
    SamplingOptions options = SamplingOptions.DEFAULTS.withEta(0).withSkippedSteps(skipped);
    SchedulerConfig parsed =
        SchedulerConfig.parse(
            config
                .replaceFirst("\\{", "{\"_class_name\":\"" + className + "\",")
                .replace(",}", "}"),
            "published");
    SamplingPlan plan = Schedulers.plan(parsed, steps, options);
    float[] ramp = ramp(size, false);
    float[] start = new float[size];
    for (int i = 0; i < size; i++) {
      start[i] = (float) (ramp[i] * (loop.startsWith("raw") ? 1 : plan.initNoiseSigma()));
    }
    SamplerState state =
        noised
            ? SamplerState.startFrom(plan, start, ramp(size, true))
            : SamplerState.restore(plan, 0, start, new float[0][]);
    return sampled(state, loop);
  }

  /**
   * @param loop where it is scaled, each sample becomes what the network is shown; where it is raw,
   *     the network is shown the sample
   */
  private static float[] sampled(SamplerState begun, String loop) {
    SamplerState state = begun;
    SamplingPlan plan = state.plan();
    TorchGenerator noise = new TorchGenerator(0);
    boolean scaled = loop.endsWith("scaled");
    while (!state.done()) {
      float[] input = loop.startsWith("raw") ? state.sample() : state.modelInput();
      if (scaled) {
        state = SamplerState.restore(plan, state.call(), input, state.history());
      }
      double t = plan.timestep(state.call());
      float[] output = new float[state.size()];
      for (int i = 0; i < output.length; i++) {
        output[i] = (float) (input[i] * t / (t + 1));
      }
      state.advance(output, noise);
    }
    return state.sample();
  }

  /**
   * 0 to 1 (or 1 to 0) with the batch of four as the fastest dimension, then moved to the front.
   */
  private static float[] ramp(int size, boolean falling) {
    int batch = 4;
    int rest = size / batch;
    float[] values = new float[size];
    for (int b = 0; b < batch; b++) {
      for (int i = 0; i < rest; i++) {
        int rank = i * batch + b;
        values[b * rest + i] = (float) (falling ? size - 1 - rank : rank) / size;
      }
    }
    return values;
  }
}
