/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Optimizer;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.NamedWeight;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.scheduler.SchedulerConfig;
import io.github.flinkdiffusion.ops.scheduler.TrainingLevels;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Optimizers and all that goes with them, beside torch's and diffusers'. */
class TrainingArithmeticTest {
  private static final int STEPS = 100;
  private static final double TOLERANCE = 1e-5;
  private static final double NO_CLIPPING = Double.POSITIVE_INFINITY;

  private static final Optimizer.AdamW ADAMW = new Optimizer.AdamW(0.9, 0.999, 1e-8, 0.05);

  /** A convolution, a linear layer and vectors: every shape that optimizers treat differently. */
  private static Graph small() {
    Graph graph = new Graph();
    Method m = graph.method("forward");
    Value x = m.input("x", 4);
    Value y = m.input("y", 3);
    Value image =
        m.conv2d(
            x, graph.parameter("conv.weight", 3, 2, 3, 3), graph.parameter("conv.bias", 3), 1, 1);
    Value out =
        m.linear(
            m.transpose(m.flatten(image, 2, 3), 1, 2),
            graph.parameter("linear.weight", 4, 3),
            graph.parameter("linear.bias", 4));
    m.returns(m.meanSquaredError(out, y));
    return graph;
  }

  private static TrainableNetwork train(Graph graph, ParameterSource weights) {
    return Engines.standard()
        .trainer()
        .train(
            Program.of("small", graph, Precision.FLOAT32, weights),
            DeviceSpec.CPU,
            Arithmetic.AS_STORED);
  }

  private static HostTensor[] batch(Fixture fixture, int index) {
    float[] x = fixture.floats("small.x");
    float[] y = fixture.floats("small.y");
    return new HostTensor[] {
      new HostTensor.Floats(Arrays.copyOfRange(x, index * 64, (index + 1) * 64), 2, 2, 4, 4),
      new HostTensor.Floats(Arrays.copyOfRange(y, index * 128, (index + 1) * 128), 2, 16, 4)
    };
  }

  private static void compare(
      Fixture fixture, String name, Optimizer optimizer, double rate, double clip, int batches) {
    try (TrainableNetwork network = train(small(), fixture.weights("small/"))) {
      compare(fixture, name, network, optimizer, rate, clip, batches);
    }
  }

  private static void compare(
      Fixture fixture,
      String name,
      TrainableNetwork network,
      Optimizer optimizer,
      double rate,
      double clip,
      int batches) {
    TrainingSettings settings =
        new TrainingSettings(
            optimizer,
            new LearningRate(LearningRate.Shape.CONSTANT, rate, 0, STEPS, 1, 0),
            new AverageDecay(0.95),
            clip,
            batches,
            LossSpikes.DEFAULT,
            STEPS,
            0);
    float[] losses = new float[STEPS / batches];
    float[] norms = new float[losses.length];
    for (int step = 0; step < losses.length; step++) {
      for (int i = 0; i < batches; i++) {
        HostTensor[] batch = batch(fixture, step * batches + i);
        losses[step] += network.accumulate(1.0 / batches, batch) / batches;
      }
      norms[step] = (float) network.gradientNorm();
      network.update(
          optimizer, rate, settings.gradientScale(norms[step]), settings.average().at(step + 1));
    }
    Fixture.assertClose(losses, fixture.floats(name + "/losses"), TOLERANCE, name + " losses");
    Fixture.assertClose(norms, fixture.floats(name + "/norms"), TOLERANCE, name + " norms");
    same(fixture, name + "/value/", network.weights());
    same(fixture, name + "/average/", network.averagedWeights());
  }

  private static void same(Fixture fixture, String prefix, List<NamedWeight> weights) {
    assertThat(weights).isNotEmpty();
    for (NamedWeight weight : weights) {
      String name = prefix + weight.name();
      Fixture.assertClose(weight.value().data(), fixture.floats(name), TOLERANCE, name);
    }
  }

  @Test
  void optimizersAndAveragesFollowTorchOverAHundredSteps() {
    try (Fixture fixture = new Fixture("arithmetic.safetensors")) {
      compare(fixture, "adam", new Optimizer.Adam(0.9, 0.99, 1e-8, 0.02), 1e-2, NO_CLIPPING, 1);
      compare(fixture, "adamw", ADAMW, 1e-2, NO_CLIPPING, 1);
      compare(fixture, "lion", new Optimizer.Lion(0.9, 0.99, 0.1), 1e-3, NO_CLIPPING, 1);
      Optimizer adafactor = new Optimizer.Adafactor(-0.8, 0x1p-23, 1e-3, 1, 0.01);
      compare(fixture, "adafactor", adafactor, 1e-2, NO_CLIPPING, 1);
    }
  }

  @Test
  void clippingFollowsTorch() {
    try (Fixture fixture = new Fixture("arithmetic.safetensors")) {
      compare(fixture, "clipped", ADAMW, 1e-2, 0.3, 1);
    }
  }

  @Test
  void gradientsOfSeveralBatchesAddUpToAStep() {
    try (Fixture fixture = new Fixture("arithmetic.safetensors")) {
      compare(fixture, "accumulated", ADAMW, 1e-2, NO_CLIPPING, 4);
    }
  }

  @Test
  void weightNormalizationFollowsTorchAndFoldsIntoPlainWeights() {
    WeightNormalization normalization = new WeightNormalization(path -> true);
    try (Fixture fixture = new Fixture("arithmetic.safetensors")) {
      Graph graph = normalization.in(small());
      assertThat(graph.parameterShapes())
          .containsKeys("conv.weight_g", "conv.weight_v", "conv.bias")
          .doesNotContainKey("conv.weight");
      try (TrainableNetwork network =
          train(graph, normalization.weights(fixture.weights("small/"), small()))) {
        Optimizer adam = new Optimizer.Adam(0.9, 0.99, 1e-8, 0.02);
        compare(fixture, "normalized", network, adam, 1e-2, NO_CLIPPING, 1);
        List<NamedWeight> folded = WeightNormalization.folded(network.weights());
        assertThat(folded)
            .extracting(NamedWeight::name)
            .containsExactlyInAnyOrder("conv.weight", "conv.bias", "linear.weight", "linear.bias");
        float normalized = network.accumulate(1, batch(fixture, 7));
        try (TrainableNetwork plain = train(small(), source(folded))) {
          assertThat(plain.accumulate(1, batch(fixture, 7))).isCloseTo(normalized, within(1e-6f));
        }
      }
    }
  }

  private static ParameterSource source(List<NamedWeight> weights) {
    return (name, shape, out) -> {
      NamedWeight weight =
          weights.stream().filter(w -> w.name().equals(name)).findFirst().orElseThrow();
      ByteBuffer bytes =
          ByteBuffer.allocate(weight.value().data().length * Float.BYTES)
              .order(ByteOrder.LITTLE_ENDIAN);
      bytes.asFloatBuffer().put(weight.value().data());
      out.write(bytes.array());
    };
  }

  @Test
  void aStateOfAnotherOptimizerIsRefused() {
    try (Fixture fixture = new Fixture("arithmetic.safetensors");
        TrainableNetwork network = train(small(), fixture.weights("small/"))) {
      network.step(ADAMW, 1e-3, 0.9, batch(fixture, 0));
      network.accumulate(1, batch(fixture, 1));
      assertThatThrownBy(() -> network.update(Optimizer.Lion.DEFAULT, 1e-3, 1, 0.9))
          .isInstanceOf(EngineException.class)
          .hasMessageContaining("conv.")
          .hasMessageContaining("continue with the optimizer");
    }
  }

  @Test
  void onlyTheParametersThatAreTrainedChange() {
    try (Fixture fixture = new Fixture("arithmetic.safetensors");
        TrainableNetwork network =
            Engines.standard()
                .trainer()
                .train(
                    Program.of("small", small(), Precision.FLOAT32, fixture.weights("small/")),
                    DeviceSpec.CPU,
                    Arithmetic.AS_STORED,
                    name -> name.equals("linear.bias"))) {
      float first = network.step(ADAMW, 0.1, 0.9, batch(fixture, 0));
      assertThat(network.accumulate(1, batch(fixture, 0))).isLessThan(first);
      assertThat(network.weights()).extracting(NamedWeight::name).containsExactly("linear.bias");
      assertThat(network.gradients()).extracting(NamedWeight::name).containsExactly("linear.bias");
    }
  }

  @Test
  void dropoutFollowsFromItsSeed() {
    Graph graph = new Dropout(path -> path.equals("linear"), 0.5).in(small());
    try (Fixture fixture = new Fixture("arithmetic.safetensors");
        TrainableNetwork network = train(graph, fixture.weights("small/"))) {
      float first = dropped(network, 5, fixture);
      assertThat(dropped(network, 6, fixture)).isNotEqualTo(first);
      assertThat(dropped(network, 5, fixture)).isEqualTo(first);
    }
  }

  private static float dropped(TrainableNetwork network, long seed, Fixture fixture) {
    network.seed(seed);
    float loss = network.accumulate(1, batch(fixture, 0));
    network.discard();
    return loss;
  }

  @Test
  void discardedGradientsDoNotCount() {
    try (Fixture fixture = new Fixture("arithmetic.safetensors");
        TrainableNetwork network = train(small(), fixture.weights("small/"))) {
      network.accumulate(1, batch(fixture, 3));
      network.discard();
      assertThat(network.gradientNorm()).isZero();
      network.accumulate(1, batch(fixture, 0));
      assertThat(network.gradientNorm())
          .isCloseTo(fixture.floats("adamw/norms")[0], within(TOLERANCE));
    }
  }

  @ParameterizedTest
  @CsvSource({
    "constant,CONSTANT,0,1",
    "constant_with_warmup,CONSTANT,10,1",
    "linear,LINEAR,10,1",
    "cosine,COSINE,10,1",
    "cosine_with_restarts,COSINE_WITH_RESTARTS,10,3"
  })
  void learningRatesFollowDiffusers(String name, LearningRate.Shape shape, int warmUp, int cycles)
      throws Exception {
    JsonNode expected = numbers().path("rates").path(name);
    LearningRate rate = new LearningRate(shape, 0.5, warmUp, STEPS, cycles, 0);
    assertThat(expected).hasSize(STEPS);
    for (int step = 0; step < STEPS; step++) {
      assertThat(rate.at(step))
          .as("step %d", step)
          .isCloseTo(expected.get(step).doubleValue(), within(1e-9));
    }
  }

  @Test
  void aRateWithALeastShareEndsThere() {
    LearningRate rate = LearningRate.cosine(1, 10, 110);
    assertThat(rate.at(5)).isEqualTo(0.5);
    assertThat(rate.at(60)).isCloseTo(0.55, within(1e-9));
    assertThat(rate.at(1000)).isCloseTo(0.1, within(1e-9));
  }

  @Test
  void averagesDecaysFollowDiffusers() throws Exception {
    JsonNode averages = numbers().path("averages");
    compare(averages.path("plain"), new AverageDecay(0.97));
    compare(averages.path("warm_up"), new AverageDecay(0.97, 0.1, 5, 2.0, 0.75));
  }

  private static void compare(JsonNode expected, AverageDecay decay) {
    assertThat(expected).hasSize(STEPS);
    for (int update = 1; update <= STEPS; update++) {
      assertThat(decay.at(update))
          .as("update %d", update)
          .isCloseTo(expected.get(update - 1).doubleValue(), within(1e-9));
    }
  }

  private static JsonNode numbers() throws Exception {
    return new ObjectMapper().readTree(Fixture.FOLDER.resolve("arithmetic.json").toFile());
  }

  private static final Map<String, String> SCHEDULES =
      Map.of(
          "linear", "\"beta_schedule\": \"linear\", \"beta_start\": 1e-4, \"beta_end\": 0.02",
          "scaled_linear",
              "\"beta_schedule\": \"scaled_linear\", \"beta_start\": 0.00085, \"beta_end\": 0.012",
          "cosine", "\"beta_schedule\": \"squaredcos_cap_v2\"",
          "sigmoid", "\"beta_schedule\": \"sigmoid\", \"beta_start\": 1e-4, \"beta_end\": 0.02",
          "zero_snr",
              "\"beta_schedule\": \"scaled_linear\", \"beta_start\": 0.00085, \"beta_end\": 0.012, \"rescale_betas_zero_snr\": true");

  static TrainingLevels levels(String schedule) {
    return TrainingLevels.of(
        SchedulerConfig.parse(
            "{\"_class_name\": \"DDIMScheduler\", " + SCHEDULES.get(schedule) + "}", schedule));
  }

  @ParameterizedTest
  @ValueSource(strings = {"linear", "scaled_linear", "cosine", "sigmoid", "zero_snr"})
  void noiseLevelsAndTheirWeightsFollowDiffusers(String schedule) {
    TrainingLevels levels = levels(schedule);
    LossWeight minSnr = new LossWeight.MinSnr(5);
    LossWeight p2 = new LossWeight.P2(0.5, 1);
    HuberThreshold snr = HuberThreshold.DEFAULT;
    HuberThreshold exponential = new HuberThreshold(HuberThreshold.Schedule.EXPONENTIAL, 0.1);
    PredictionTarget epsilon = PredictionTarget.EPSILON;
    try (Fixture fixture = new Fixture("arithmetic.safetensors")) {
      String prefix = "levels/" + schedule + "/";
      for (int t = 0; t < levels.count(); t++) {
        near(levels.timestep(t), t, t);
        near(levels.signal(t), fixture.floats(prefix + "signal")[t], t);
        near(levels.noise(t), fixture.floats(prefix + "noise")[t], t);
        near(snr.at(levels, t), fixture.floats(prefix + "huber_snr")[t], t);
        near(exponential.at(levels, t), fixture.floats(prefix + "huber_exponential")[t], t);
        near(p2.at(levels, t, epsilon), fixture.floats(prefix + "p2_epsilon")[t], t);
        near(minSnr.at(levels, t, PredictionTarget.V), fixture.floats(prefix + "min_snr_v")[t], t);
        float expected = fixture.floats(prefix + "min_snr_epsilon")[t];
        // Of pure noise diffusers divides 0 by 0; the limit is 1.
        near(minSnr.at(levels, t, epsilon), Float.isNaN(expected) ? 1 : expected, t);
        double power = fixture.floats(prefix + "snr")[t];
        // It divides by 1 - alphaBar, whose table is float32: a few units of its last place count.
        assertThat(new LossWeight.Snr().at(levels, t, PredictionTarget.SAMPLE))
            .as("level %d", t)
            .isCloseTo(power, within(TOLERANCE + 0x1p-22 * (1 + power) * (1 + power)));
        near(new LossWeight.Snr().at(levels, t, epsilon), 1, t);
      }
    }
  }

  private static void near(double actual, double expected, int level) {
    assertThat(actual)
        .as("level %d", level)
        .isCloseTo(expected, within(TOLERANCE * Math.max(1, Math.abs(expected))));
  }

  @ParameterizedTest
  @ValueSource(doubles = {1, 3})
  void levelsOfFlowsFollowDiffusers(double shift) {
    TrainingLevels levels =
        TrainingLevels.of(
            SchedulerConfig.parse(
                "{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"shift\": " + shift + "}",
                "test"));
    try (Fixture fixture = new Fixture("arithmetic.safetensors")) {
      for (int t = 0; t < levels.count(); t++) {
        near(levels.noise(t), fixture.floats("flow/" + shift + "/sigmas")[t], t);
        near(levels.signal(t), 1 - fixture.floats("flow/" + shift + "/sigmas")[t], t);
        near(levels.timestep(t), fixture.floats("flow/" + shift + "/timesteps")[t], t);
      }
    }
  }
}
