/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.noise.TorchGenerator;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * One trajectory of the reference implementation, as {@code make_scheduler_fixtures.py} writes
 * them.
 */
record ReferenceCase(String scheduler, JsonNode json) {

  private static final int SIZE = 32;
  private static final int PLANE = 16;
  private static final int NOISE_SEED = 7;
  private static final int STEP_SEED = 11;

  /** Python writes infinities as bare words. */
  private static final ObjectMapper JSON =
      JsonMapper.builder().enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS).build();

  static Stream<ReferenceCase> sampled(String scheduler) {
    return read(scheduler, "cases");
  }

  /** What the reference refuses or samples to NaN. */
  static Stream<ReferenceCase> refused(String scheduler) {
    return read(scheduler, "refused");
  }

  private static Stream<ReferenceCase> read(String scheduler, String part) {
    try (InputStream in =
        ReferenceCase.class.getResourceAsStream("/fixtures/scheduler/" + scheduler + ".json")) {
      JsonNode cases = new ObjectMapper().readTree(in).get(part);
      return StreamSupport.stream(cases.spliterator(), false)
          .map(json -> new ReferenceCase(scheduler, json));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** All cases of a file of {@code random_scheduler_cases.py}. */
  static List<ReferenceCase> random(InputStream file) throws IOException {
    JsonNode cases = JSON.readTree(file).get("cases");
    return StreamSupport.stream(cases.spliterator(), false)
        .map(json -> new ReferenceCase(json.get("scheduler").asText(), json))
        .toList();
  }

  /** The same case, where the reference's square roots in float32 are rounded correctly. */
  Optional<ReferenceCase> withExactRoots() {
    return instead("exactRoots");
  }

  /** The same case, where the reference steps in float64, over its own sigmas in float32. */
  Optional<ReferenceCase> withDoubleSteps() {
    return instead("doubleSteps");
  }

  private Optional<ReferenceCase> instead(String key) {
    if (!json.has(key)) {
      return Optional.empty();
    }
    ObjectNode other = json.deepCopy();
    other.remove("error");
    other.setAll((ObjectNode) json.get(key));
    other.remove(List.of("exactRoots", "doubleSteps"));
    return Optional.of(new ReferenceCase(scheduler, other));
  }

  /** What the reference said when it refused; empty where it sampled. */
  Optional<String> error() {
    return Optional.ofNullable(json.get("error")).map(JsonNode::asText);
  }

  SchedulerConfig config() {
    ObjectNode config = json.get("config").deepCopy();
    return SchedulerConfig.fromJson(config.put("_class_name", scheduler), "scheduler_config.json");
  }

  /** Whether the config has a value for a key, absent ones taken for a default. */
  boolean says(String key, String value, String absent) {
    return json.get("config").path(key).asText(absent).equals(value) || value.equals("none");
  }

  int steps() {
    return json.get("steps").asInt();
  }

  SamplingOptions options() {
    JsonNode options = json.get("options");
    return new SamplingOptions(
        options.has("eta") ? options.get("eta").asDouble() : null,
        options.has("mu") ? options.get("mu").asDouble() : null,
        options.path("skippedSteps").asInt(0),
        false,
        new Churn(
            options.path("s_churn").asDouble(0),
            options.path("s_tmin").asDouble(0),
            options.path("s_tmax").asDouble(Double.POSITIVE_INFINITY),
            options.path("s_noise").asDouble(1)),
        doubles(options.path("timesteps")),
        doubles(options.path("sigmas")),
        null,
        1,
        new Jumps(
            options.path("jump_length").asInt(Jumps.DEFAULT.length()),
            options.path("jump_n_sample").asInt(Jumps.DEFAULT.samples())));
  }

  private static List<Double> doubles(JsonNode list) {
    return StreamSupport.stream(list.spliterator(), false).map(JsonNode::asDouble).toList();
  }

  SamplingPlan plan() {
    SamplingPlan plan = Schedulers.plan(config(), steps(), options());
    if (!plan.needsKnownPart()) {
      return plan;
    }
    float[] mask = new float[PLANE];
    for (int i = 0; i < PLANE; i++) {
      mask[i] = i % 3 == 0 ? 1 : 0;
    }
    return plan.keeping(image(), mask);
  }

  private static float[] image() {
    float[] image = new float[SIZE];
    for (int i = 0; i < SIZE; i++) {
      image[i] = (float) (-1 + 2.0 * i / (SIZE - 1));
    }
    return image;
  }

  double initNoiseSigma() {
    return json.get("initNoiseSigma").asDouble();
  }

  float[] timesteps() {
    return floats("timesteps");
  }

  /** The mean magnitude of the sample after every call. */
  float[] trace() {
    return floats("trace");
  }

  float[] finalSample() {
    return floats("final");
  }

  /** The greatest magnitude of any sample on the way. */
  double scale() {
    return json.get("scale").asDouble();
  }

  /**
   * How far the reference's float32 took its final sample from its own result in float64; 0 where
   * that is not known.
   */
  double rounding() {
    return json.path("rounding").asDouble(0);
  }

  /** Whole timesteps must be equal; fractional ones come out of float32 logarithms. */
  double timestepTolerance(int call) {
    float timestep = timesteps()[call];
    double ownError = json.path("timestepRounding").asDouble(0);
    return timestep == Math.rint(timestep) && timestep != 0 && ownError == 0
        ? 1e-6 * Math.abs(timestep)
        : Math.max(1e-5 * (1 + Math.abs(timestep)), 2 * ownError);
  }

  TorchGenerator stepNoise() {
    return new TorchGenerator(STEP_SEED);
  }

  SamplerState start(SamplingPlan plan) {
    float[] noise = new TorchGenerator(NOISE_SEED).gaussian(SIZE);
    if (options().skippedSteps() == 0) {
      return SamplerState.start(plan, noise);
    }
    return SamplerState.startFrom(plan, image(), noise);
  }

  /** The toy network. */
  float[] output(float[] input, double timestep) {
    boolean learnedVariance = json.get("options").has("learned");
    boolean linear = json.get("model").asText().equals("linear");
    boolean score = scheduler.equals("ScoreSdeVeScheduler");
    double unit = score ? Math.sqrt(timestep * timestep + 1) : 1;
    double t = Math.abs(timestep);
    float[] output = new float[learnedVariance ? 2 * input.length : input.length];
    for (int i = 0; i < input.length; i++) {
      double x = input[i] / unit;
      double made =
          linear ? x * (t / (t + 1)) : 0.6 * Math.tanh(x) + 0.2 * Math.cos(x + 0.01 * timestep);
      output[i] = (float) (score ? -(x + 0.3 * made) / unit : made);
      if (learnedVariance) {
        output[input.length + i] = (float) (0.5 + 0.4 * Math.sin(3 * x));
      }
    }
    return output;
  }

  private float[] floats(String key) {
    byte[] bytes = Base64.getDecoder().decode(json.get(key).asText());
    float[] values = new float[bytes.length / Float.BYTES];
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(values);
    return values;
  }

  @Override
  public String toString() {
    String options = json.get("options").isEmpty() ? "" : " " + json.get("options");
    return scheduler
        + " "
        + steps()
        + " steps, "
        + json.get("model").asText()
        + options
        + " "
        + json.get("config");
  }
}
