/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Old, odd and contradictory scheduler configs in otherwise good folders: which timesteps and which
 * picture diffusers 0.42.0 makes of them ({@code make_scheduler_correction_fixtures.py}).
 */
class SchedulerCorrectionsParityTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures");
  private static final Path MODELS = FIXTURES.resolve("models");
  private static final ObjectMapper MAPPER = new ObjectMapper();
  private static final double TOLERANCE = 1e-3;

  @TempDir Path temp;

  private record Case(int stride, JsonNode images, JsonNode json) {
    /** One of the file's images, named by its shape. */
    Raster image(String name) {
      String[] shape = name.split("x");
      byte[] bytes = Base64.getDecoder().decode(images.get(name).asText());
      float[] values = new float[bytes.length];
      for (int i = 0; i < values.length; i++) {
        values[i] = (bytes[i] & 0xff) / 255f;
      }
      return new Raster(
          Integer.parseInt(shape[0]),
          Integer.parseInt(shape[1]),
          Integer.parseInt(shape[2]),
          values);
    }

    @Override
    public String toString() {
      return json.get("name").asText();
    }
  }

  static Stream<Case> cases() throws IOException {
    JsonNode file = MAPPER.readTree(FIXTURES.resolve("scheduler/corrections.json").toFile());
    return StreamSupport.stream(file.get("cases").spliterator(), false)
        .map(json -> new Case(file.get("stride").asInt(), file.get("images"), json));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("cases")
  void makesTheReferencesPicture(Case one) throws IOException {
    try (DiffusionPipeline pipeline =
        Pipelines.openAs(
            one.json().get("pipeline").asText(),
            folder(one),
            PipelineSettings.on(DeviceSpec.CPU))) {
      Trajectory trajectory = pipeline.start(List.of(pipeline.model().prepare(spec(one)))).get(0);
      List<Double> timesteps = new ArrayList<>();
      while (!trajectory.done()) {
        SamplerState state = ((DenoisingTrajectory) trajectory).state();
        timesteps.add(state.plan().timestep(state.call()));
        pipeline.step(List.of(trajectory));
      }
      assertTimesteps(one, timesteps);
      assertPicture(one, pipeline.finish(List.of(trajectory)).get(0).image());
    }
  }

  /** A plan that leaves steps out has the last of the scheduler's timesteps. */
  private static void assertTimesteps(Case one, List<Double> timesteps) {
    JsonNode expected = one.json().get("timesteps");
    int skipped = expected.size() - timesteps.size();
    assertThat(skipped).isNotNegative();
    for (int i = 0; i < timesteps.size(); i++) {
      double wanted = expected.get(skipped + i).asDouble();
      assertThat(timesteps.get(i))
          .as("timestep of call %d", i)
          .isCloseTo(wanted, within(1e-4 * (1 + wanted)));
    }
  }

  private static void assertPicture(Case one, Raster picture) {
    JsonNode shape = one.json().get("shape");
    assertThat(new int[] {picture.channels(), picture.height(), picture.width()})
        .isEqualTo(new int[] {shape.get(0).asInt(), shape.get(1).asInt(), shape.get(2).asInt()});
    FloatBuffer expected =
        ByteBuffer.wrap(Base64.getDecoder().decode(one.json().get("picture").asText()))
            .order(ByteOrder.LITTLE_ENDIAN)
            .asFloatBuffer();
    double worst = 0;
    for (int i = 0; i < expected.limit(); i++) {
      worst = Math.max(worst, Math.abs(picture.data()[i * one.stride()] - expected.get(i)));
    }
    assertThat(worst).isLessThanOrEqualTo(TOLERANCE);
  }

  private GenerationSpec spec(Case one) {
    JsonNode arguments = one.json().get("arguments");
    GenerationSpec spec = GenerationSpec.of("1").with(Parameters.SEED, 41L);
    spec = spec.with(Parameters.STEPS, arguments.get("num_inference_steps").asLong());
    if (!one.json().get("request").isNull()) {
      spec = spec.with(Parameters.SCHEDULER, one.json().get("request").asText());
    }
    if (arguments.has("prompt")) {
      spec = spec.with(Parameters.PROMPT, arguments.get("prompt").asText());
    }
    if (arguments.has("strength")) {
      spec = spec.with(Parameters.STRENGTH, arguments.get("strength").asDouble());
    }
    if (arguments.has("class_labels")) {
      spec = spec.with(Parameters.CLASS_LABEL, arguments.get("class_labels").get(0).asLong());
    }
    if (arguments.has("width")) {
      spec = spec.with(Parameters.WIDTH, arguments.get("width").asLong());
      spec = spec.with(Parameters.HEIGHT, arguments.get("height").asLong());
    }
    JsonNode inputs = one.json().get("inputs");
    if (inputs.has("image")) {
      spec = spec.with(Parameters.IMAGE, one.image(inputs.get("image").asText()));
    }
    if (inputs.has("mask_image")) {
      spec = spec.with(Parameters.MASK, one.image(inputs.get("mask_image").asText()));
    }
    return one.json().get("pipeline").asText().contains("Marigold")
        ? spec.with(Parameters.PROCESSING_RESOLUTION, 0L)
        : spec;
  }

  /** A copy of the case's folder with its scheduler config, under its class. */
  private Path folder(Case one) throws IOException {
    Path source = MODELS.resolve(one.json().get("folder").asText());
    Path copy = temp.resolve("folder");
    try (Stream<Path> files = Files.walk(source)) {
      for (Path file : files.filter(f -> !f.startsWith(source.resolve("golden"))).toList()) {
        Files.copy(file, copy.resolve(source.relativize(file).toString()));
      }
    }
    Path index = copy.resolve("model_index.json");
    ObjectNode classes = (ObjectNode) MAPPER.readTree(index.toFile());
    classes.putArray("scheduler").add("diffusers").add(one.json().get("scheduler"));
    MAPPER.writeValue(index.toFile(), classes);
    MAPPER.writeValue(
        copy.resolve("scheduler/scheduler_config.json").toFile(), one.json().get("config"));
    return copy;
  }
}
