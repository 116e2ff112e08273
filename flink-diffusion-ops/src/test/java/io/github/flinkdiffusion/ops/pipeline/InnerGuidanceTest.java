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
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import io.github.flinkdiffusion.ops.weights.Lora;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Perturbed-attention guidance and FreeU. */
class InnerGuidanceTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures");
  private static final Path RUNS = FIXTURES.resolve("inner-guidance");
  private static final Path LORA = FIXTURES.resolve("lora/peft.safetensors");
  private static final float TOLERANCE = 1e-3f;
  private static final float SHARED = 1e-4f;
  private static final Map<String, DiffusionPipeline> OPEN = new HashMap<>();

  private static JsonNode runs() throws IOException {
    return new ObjectMapper().readTree(RUNS.resolve("runs.json").toFile());
  }

  private static Path folder(String name) {
    return FIXTURES.resolve("models").resolve(name);
  }

  private static PipelineSettings settings() {
    return PipelineSettings.on(DeviceSpec.CPU).withUNetGuidance(true);
  }

  private static DiffusionPipeline pipeline(String folder) {
    return OPEN.computeIfAbsent(folder, name -> Pipelines.open(folder(name), settings()));
  }

  @AfterAll
  static void close() {
    OPEN.values().forEach(DiffusionPipeline::close);
    OPEN.clear();
  }

  private static Raster given(String name) {
    try (TensorStore store = Safetensors.open(RUNS.resolve("runs.safetensors"))) {
      float[] values = store.floats("given " + name);
      return new Raster(values.length / (64 * 64), 64, 64, values);
    }
  }

  private static GenerationSpec spec() {
    return GenerationSpec.of("id")
        .with(Parameters.PROMPT, "a red cat")
        .with(Parameters.NEGATIVE_PROMPT, "night")
        .with(Parameters.SEED, 7L)
        .with(Parameters.STEPS, 4L)
        .with(Parameters.SCHEDULER, "DDIMScheduler")
        .with(Parameters.GUIDANCE_SCALE, 5.0);
  }

  private static final Map<String, Parameter<Double>> NUMBERS =
      Map.of(
          "pag_scale", Parameters.PAG_SCALE,
          "pag_adaptive_scale", Parameters.PAG_ADAPTIVE_SCALE,
          "guidance_scale", Parameters.GUIDANCE_SCALE,
          "guidance_rescale", Parameters.GUIDANCE_RESCALE,
          "strength", Parameters.STRENGTH,
          "b1", Parameters.FREEU_B1,
          "b2", Parameters.FREEU_B2,
          "s1", Parameters.FREEU_S1,
          "s2", Parameters.FREEU_S2);

  private static GenerationSpec spec(JsonNode run) {
    GenerationSpec spec = spec().with(Parameters.SCHEDULER, run.get("scheduler").asText());
    String kind = run.get("class").asText();
    if (kind.contains("Img2Img") || kind.contains("Inpaint")) {
      spec = spec.with(Parameters.IMAGE, given("image"));
    } else {
      spec = spec.with(Parameters.WIDTH, 64L).with(Parameters.HEIGHT, 64L);
    }
    if (kind.contains("Inpaint")) {
      spec = spec.with(Parameters.MASK, given("mask"));
    }
    if (run.get("layers").isArray()) {
      List<String> layers = new ArrayList<>();
      run.get("layers").forEach(layer -> layers.add(layer.asText()));
      spec = spec.with(Parameters.PAG_APPLIED_LAYERS, String.join(",", layers));
    }
    for (String part : List.of("arguments", "freeu")) {
      for (Map.Entry<String, JsonNode> each : run.get(part).properties()) {
        spec =
            switch (each.getKey()) {
              case "width" -> spec.with(Parameters.WIDTH, each.getValue().asLong());
              case "height" -> spec.with(Parameters.HEIGHT, each.getValue().asLong());
              default -> spec.with(NUMBERS.get(each.getKey()), each.getValue().asDouble());
            };
      }
    }
    return spec;
  }

  private static List<Raster> images(DiffusionPipeline pipeline, List<GenerationSpec> specs) {
    List<Trajectory> trajectories =
        new ArrayList<>(pipeline.start(specs.stream().map(pipeline.model()::prepare).toList()));
    while (trajectories.stream().anyMatch(each -> !each.done())) {
      pipeline.step(trajectories.stream().filter(each -> !each.done()).toList());
      // Saved and restored at each step.
      trajectories = pipeline.restore(trajectories.stream().map(each -> each.snapshot()).toList());
    }
    return pipeline.finish(trajectories).stream().map(GeneratedImage::image).toList();
  }

  private static Raster image(DiffusionPipeline pipeline, GenerationSpec spec) {
    return images(pipeline, List.of(spec)).get(0);
  }

  static Stream<String> names() throws IOException {
    List<String> names = new ArrayList<>();
    runs().fieldNames().forEachRemaining(names::add);
    return names.stream();
  }

  @ParameterizedTest
  @MethodSource("names")
  void makesTheReferencesPicture(String name) throws IOException {
    JsonNode run = runs().get(name);
    Raster image = image(pipeline(run.get("folder").asText()), spec(run));
    try (TensorStore store = Safetensors.open(RUNS.resolve("runs.safetensors"))) {
      assertThat(image.data()).containsExactly(store.floats(name), within(TOLERANCE));
    }
  }

  @Test
  void requestsWithAndWithoutShareCalls() throws IOException {
    List<GenerationSpec> specs = new ArrayList<>();
    specs.add(spec().with(Parameters.WIDTH, 64L).with(Parameters.HEIGHT, 64L));
    for (String name : List.of("middle", "all", "without guidance", "mask", "free", "both")) {
      specs.add(spec(runs().get(name)));
    }
    DiffusionPipeline pipeline = pipeline("tiny-sd1");
    List<Raster> together = images(pipeline, specs);
    for (int i = 0; i < specs.size(); i++) {
      assertThat(together.get(i).data())
          .containsExactly(image(pipeline, specs.get(i)).data(), within(SHARED));
    }
  }

  @Test
  void aRequestWithoutIsWhatItIsInAJobWithout() {
    try (DiffusionPipeline plain =
        Pipelines.open(folder("tiny-sd1"), PipelineSettings.on(DeviceSpec.CPU))) {
      assertThat(image(pipeline("tiny-sd1"), spec()).data()).isEqualTo(image(plain, spec()).data());
    }
  }

  @Test
  void lorasOfRequestsAndChangesShareCalls() {
    GenerationSpec changed = spec().with(Parameters.PAG_SCALE, 3.0);
    PipelineSettings merged = settings().withLoras(List.of(new Lora(LORA, 0.8)));
    AdapterSettings allowed = new AdapterSettings(new TreeMap<>(Map.of("style", LORA)), 8);
    try (DiffusionPipeline one = Pipelines.open(folder("tiny-sd1"), merged);
        DiffusionPipeline all =
            Pipelines.open(folder("tiny-sd1"), settings().withAdapters(allowed))) {
      List<Raster> together =
          images(
              all,
              List.of(
                  spec(),
                  changed,
                  spec().with(Parameters.LORAS, "style:0.8"),
                  changed.with(Parameters.LORAS, "style:0.8")));
      DiffusionPipeline without = pipeline("tiny-sd1");
      assertThat(together.get(0).data())
          .containsExactly(image(without, spec()).data(), within(SHARED));
      assertThat(together.get(1).data())
          .containsExactly(image(without, changed).data(), within(SHARED));
      assertThat(together.get(2).data())
          .containsExactly(image(one, spec()).data(), within(TOLERANCE));
      assertThat(together.get(3).data())
          .containsExactly(image(one, changed).data(), within(TOLERANCE));
    }
  }

  @Test
  void stepsWithoutGuidanceHaveNoFurtherRow() {
    DiffusionPipeline pipeline = pipeline("tiny-sd1");
    GenerationSpec spec =
        spec()
            .with(Parameters.PAG_SCALE, 3.0)
            .with(Parameters.GUIDANCE_INTERVAL, new Numbers(0, 0.5));
    Trajectory trajectory = pipeline.start(List.of(pipeline.model().prepare(spec))).get(0);
    List<Integer> rows = new ArrayList<>();
    while (!trajectory.done()) {
      rows.add(trajectory.rows());
      pipeline.step(List.of(trajectory));
    }
    assertThat(rows).containsExactly(3, 3, 1, 1);
  }

  @Test
  void whatCannotBeDoneIsRefusedByName() {
    assertRefused(
        spec().with(Parameters.FREEU_B1, 1.5),
        "1 of freeuB1, freeuB2, freeuS1 and freeuS2; it must have all or none");
    assertRefused(
        spec().with(Parameters.PAG_APPLIED_LAYERS, "mid"), "pagAppliedLayers but no pagScale");
    assertRefused(
        spec()
            .with(Parameters.PAG_SCALE, 3.0)
            .with(Parameters.PAG_APPLIED_LAYERS, "mid,down_blocks.9"),
        "'down_blocks.9', which no name of the network's self-attentions has; they are"
            + " down_blocks.0");
    assertRefused(
        spec().with(Parameters.PAG_SCALE, 3.0).with(Parameters.PAG_APPLIED_LAYERS, "(a+)+b"),
        "pagAppliedLayers");
    assertRefused(
        spec().with(Parameters.PAG_SCALE, 3.0).with(Parameters.PROMPT_LANGUAGE, "a1111"),
        "pagScale and promptLanguage a1111");
    assertRefused(
        spec()
            .with(Parameters.PAG_SCALE, 3.0)
            .with(Parameters.IMAGE, given("image"))
            .with(Parameters.SOURCE_PROMPT, "a dog"),
        "sourcePrompt and a pagScale");
    try (DiffusionPipeline plain =
        Pipelines.open(folder("tiny-sd1"), PipelineSettings.on(DeviceSpec.CPU))) {
      assertThatThrownBy(() -> plain.model().prepare(spec().with(Parameters.PAG_SCALE, 3.0)))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining(
              "pagScale, which StableDiffusionPipeline takes only in a job with the"
                  + " option diffusion.unet-guidance.enabled");
    }
    assertThatThrownBy(() -> Pipelines.open(folder("tiny-sd3"), settings()))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("diffusion.unet-guidance.enabled");
  }

  private static void assertRefused(GenerationSpec spec, String message) {
    assertThatThrownBy(() -> pipeline("tiny-sd1").model().prepare(spec))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining(message);
  }
}
