/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Images between two seeds and between two prompts. */
class VariationTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures");
  private static final Path VARIATION = FIXTURES.resolve("variation");
  private static final double TOLERANCE = 1e-3;
  private static final double SHARED = 1e-4;
  private static final Map<String, DiffusionPipeline> OPEN = new HashMap<>();

  private static JsonNode json(String file) throws IOException {
    return new ObjectMapper().readTree(VARIATION.resolve(file).toFile());
  }

  private static DiffusionPipeline pipeline(String folder) {
    return OPEN.computeIfAbsent(
        folder,
        name ->
            Pipelines.open(
                FIXTURES.resolve("models").resolve(name), PipelineSettings.on(DeviceSpec.CPU)));
  }

  @AfterAll
  static void close() {
    OPEN.values().forEach(DiffusionPipeline::close);
    OPEN.clear();
  }

  private static float[] floats(JsonNode numbers) {
    float[] values = new float[numbers.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) numbers.get(i).asDouble();
    }
    return values;
  }

  @Test
  void liesWhereNumPyHasIt() throws IOException {
    JsonNode cases = json("slerp.json");
    assertThat(cases).hasSize(20);
    for (JsonNode each : cases) {
      float[] between =
          Slerp.between(
              floats(each.get("from")), floats(each.get("to")), each.get("share").asDouble());
      assertThat(between).containsExactly(floats(each.get("between")), within(1e-6f));
    }
  }

  private static GenerationSpec spec() {
    return GenerationSpec.of("id")
        .with(Parameters.PROMPT, "a red cat")
        .with(Parameters.NEGATIVE_PROMPT, "night")
        .with(Parameters.SEED, 7L)
        .with(Parameters.STEPS, 4L)
        .with(Parameters.WIDTH, 64L)
        .with(Parameters.HEIGHT, 64L)
        .with(Parameters.GUIDANCE_SCALE, 5.0);
  }

  private static GenerationSpec spec(JsonNode run) {
    GenerationSpec spec = spec();
    if (!run.get("folder").asText().equals("tiny-sd3")) {
      spec = spec.with(Parameters.SCHEDULER, "DDIMScheduler");
    }
    if (run.has("variationSeed")) {
      spec =
          spec.with(Parameters.VARIATION_SEED, run.get("variationSeed").asLong())
              .with(Parameters.VARIATION_STRENGTH, run.get("variationStrength").asDouble());
    }
    if (run.has("variationPrompt")) {
      spec =
          spec.with(Parameters.VARIATION_PROMPT, run.get("variationPrompt").asText())
              .with(
                  Parameters.VARIATION_PROMPT_STRENGTH,
                  run.get("variationPromptStrength").asDouble());
    }
    return spec;
  }

  private static List<Raster> images(String folder, List<GenerationSpec> specs) {
    DiffusionPipeline pipeline = pipeline(folder);
    List<Trajectory> trajectories =
        pipeline.start(specs.stream().map(pipeline.model()::prepare).toList());
    while (!trajectories.get(0).done()) {
      pipeline.step(trajectories);
      // Saved and restored at each step.
      trajectories = pipeline.restore(trajectories.stream().map(each -> each.snapshot()).toList());
    }
    return pipeline.finish(trajectories).stream().map(GeneratedImage::image).toList();
  }

  private static Raster image(GenerationSpec spec) {
    return images("tiny-sd1", List.of(spec)).get(0);
  }

  static Stream<String> runs() throws IOException {
    List<String> names = new ArrayList<>();
    json("variation.json").get("runs").fieldNames().forEachRemaining(names::add);
    return names.stream();
  }

  @ParameterizedTest
  @MethodSource("runs")
  void makesTheReferencesPicture(String name) throws IOException {
    JsonNode run = json("variation.json").get("runs").get(name);
    Raster image = images(run.get("folder").asText(), List.of(spec(run))).get(0);
    try (TensorStore store = Safetensors.open(VARIATION.resolve("variation.safetensors"))) {
      assertThat(image.data()).containsExactly(store.floats(name), within((float) TOLERANCE));
    }
  }

  @Test
  void endsOfTheWayAreTheSeedsAndThePromptsOwnImages() {
    Raster own = image(spec());
    Raster otherSeed = image(spec().with(Parameters.SEED, 8L));
    Raster otherPrompt = image(spec().with(Parameters.PROMPT, "a tree"));
    assertThat(image(varied(spec(), 0)).data()).isEqualTo(own.data());
    assertThat(image(varied(spec(), 1)).data())
        .isEqualTo(otherSeed.data())
        .isNotEqualTo(own.data());
    assertThat(image(prompted(spec(), 0)).data()).isEqualTo(own.data());
    assertThat(image(prompted(spec(), 1)).data())
        .isEqualTo(otherPrompt.data())
        .isNotEqualTo(own.data());
  }

  private static GenerationSpec varied(GenerationSpec spec, double strength) {
    return spec.with(Parameters.VARIATION_SEED, 8L).with(Parameters.VARIATION_STRENGTH, strength);
  }

  private static GenerationSpec prompted(GenerationSpec spec, double strength) {
    return spec.with(Parameters.VARIATION_PROMPT, "a tree")
        .with(Parameters.VARIATION_PROMPT_STRENGTH, strength);
  }

  @Test
  void requestsWithAndWithoutShareCalls() {
    List<GenerationSpec> specs =
        List.of(spec(), varied(spec(), 0.4), prompted(varied(spec(), 0.6), 0.5));
    List<Raster> together = images("tiny-sd1", specs);
    for (int i = 0; i < specs.size(); i++) {
      assertThat(together.get(i).data())
          .containsExactly(image(specs.get(i)).data(), within((float) SHARED));
    }
  }

  @Test
  void halfOfTheWayIsTheDefault() {
    GenerationRequest request =
        pipeline("tiny-sd1")
            .model()
            .prepare(
                spec()
                    .with(Parameters.VARIATION_SEED, 8L)
                    .with(Parameters.VARIATION_PROMPT, "a tree"));
    assertThat(request.get(Parameters.VARIATION_STRENGTH)).isEqualTo(0.5);
    assertThat(request.get(Parameters.VARIATION_PROMPT_STRENGTH)).isEqualTo(0.5);
  }

  @Test
  void whatCannotBeDoneIsRefusedByName() {
    assertRefused(
        spec().with(Parameters.VARIATION_STRENGTH, 0.5), "variationStrength but no variationSeed");
    assertRefused(
        spec().with(Parameters.VARIATION_PROMPT_STRENGTH, 0.5),
        "variationPromptStrength but no variationPrompt");
    assertRefused(varied(spec(), 1.5), "variationStrength");
    assertRefused(
        prompted(spec(), 0.5).with(Parameters.PROMPT_LANGUAGE, "a1111"),
        "variationPrompt and promptLanguage a1111");
    Raster image = new Raster(3, 64, 64, new float[3 * 64 * 64]);
    assertRefused(
        varied(spec(), 0.5).with(Parameters.IMAGE, image).with(Parameters.SOURCE_PROMPT, "a dog"),
        "variationSeed and a sourcePrompt");
    assertRefused(
        varied(spec(), 0.5)
            .with(Parameters.IMAGE, image)
            .with(Parameters.TILE_TOP_LEFT, new Numbers(0, 0)),
        "variationSeed and a tileTopLeft");
    assertThatThrownBy(() -> pipeline("tiny-sd3").model().prepare(prompted(spec(), 0.5)))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("variationPrompt, which StableDiffusion3Pipeline does not take");
  }

  private static void assertRefused(GenerationSpec spec, String message) {
    assertThatThrownBy(() -> pipeline("tiny-sd1").model().prepare(spec))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining(message);
  }
}
