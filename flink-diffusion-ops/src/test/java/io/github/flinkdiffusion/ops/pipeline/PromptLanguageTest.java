/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Pictures of prompts in A1111's language and in Compel's; the reference's are made by {@code
 * src/test/python/make_prompt_fixtures.py}.
 */
class PromptLanguageTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures");
  private static final Offset<Float> TOLERANCE = Offset.offset(1e-3f);
  private static final Offset<Float> ALONE = Offset.offset(1e-4f);
  private static final int STEPS = 4;
  private static DiffusionPipeline pipeline;

  @BeforeAll
  static void open() {
    pipeline =
        Pipelines.open(
            FIXTURES.resolve("models/tiny-sd1"),
            PipelineSettings.on(DeviceSpec.CPU).withCaching(new Caching(1, 0, 1 << 20)));
  }

  @AfterAll
  static void close() {
    pipeline.close();
  }

  private static GenerationSpec spec(String prompt, String negative) {
    return GenerationSpec.of("one")
        .with(Parameters.PROMPT, prompt)
        .with(Parameters.NEGATIVE_PROMPT, negative)
        .with(Parameters.PROMPT_LANGUAGE, "a1111")
        .with(Parameters.SEED, 3L)
        .with(Parameters.STEPS, (long) STEPS)
        .with(Parameters.GUIDANCE_SCALE, 5.0);
  }

  private static List<Trajectory> start(GenerationSpec... specs) {
    List<GenerationRequest> requests = new ArrayList<>();
    for (GenerationSpec spec : specs) {
      requests.add(pipeline.model().prepare(spec));
    }
    return pipeline.start(requests);
  }

  private static float[] finished(Trajectory trajectory) {
    while (!trajectory.done()) {
      pipeline.step(List.of(trajectory));
    }
    return pipeline.finish(List.of(trajectory)).get(0).image().data();
  }

  private static float[] picture(String prompt, String negative) {
    return finished(start(spec(prompt, negative)).get(0));
  }

  private static float[] plain(String prompt, String negative) {
    return finished(start(spec(prompt, negative).with(Parameters.PROMPT_LANGUAGE, "plain")).get(0));
  }

  @ParameterizedTest
  @ValueSource(strings = {"weights", "long", "breaks"})
  void weightsAndChunksGiveTheReferencesPicture(String name) throws IOException {
    JsonNode texts =
        new ObjectMapper().readTree(FIXTURES.resolve("prompts/pictures.json").toFile()).get(name);
    float[] expected;
    try (TensorStore golden = Safetensors.open(FIXTURES.resolve("prompts/tiny-sd1.safetensors"))) {
      expected = golden.floats(name);
    }
    assertThat(picture(texts.get(0).asText(), texts.get(1).asText()))
        .containsExactly(expected, TOLERANCE);
    assertThat(plain(texts.get(0).asText(), texts.get(1).asText()))
        .as("the same characters in a plain prompt")
        .isNotEqualTo(expected);
  }

  @Test
  void aPromptWithoutSyntaxIsThePlainOne() {
    assertThat(picture("a red cat", "dog")).containsExactly(plain("a red cat", "dog"), ALONE);
  }

  /** The web UI has the first text until the step of that number, counted from 0. */
  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "a [red:blue:0] cat; a blue cat",
        "a [red:blue:1.0] cat; a red cat",
        "a [red:blue:9] cat; a red cat",
        "a cat :1; a cat",
        "a cat AND a cat :0; a cat",
        "a cat :0.5 AND a cat :0.5; a cat",
      })
  void textsThatChangeAndCombinationsHaveTheirTexts(String prompt, String same) {
    assertThat(picture(prompt, "dog")).containsExactly(plain(same, "dog"), TOLERANCE);
  }

  @Test
  void aTextThatChangesIsNeitherOfBoth() {
    float[] changed = picture("a [red:blue:1] cat", "dog");
    assertThat(changed).isNotEqualTo(plain("a red cat", "dog"));
    assertThat(changed).isNotEqualTo(plain("a blue cat", "dog"));
  }

  @Test
  void itIsRestoredAtEachStepAndSharesCallsWithOthers() {
    List<GenerationSpec> specs =
        List.of(
            spec("a (red:1.4) [cat|dog] AND night :0.5", "[blue:tree:2]"),
            spec("a cat, ".repeat(40), ""),
            spec("a (photo)", "").with(Parameters.PROMPT_LANGUAGE, "plain"),
            spec("a [red:blue:0.5] cat", "").with(Parameters.GUIDANCE_SCALE, 1.0));
    List<float[]> alone = new ArrayList<>();
    for (GenerationSpec spec : specs) {
      alone.add(finished(start(spec).get(0)));
    }
    List<Trajectory> together = start(specs.toArray(GenerationSpec[]::new));
    assertThat(together.get(1).batchKey())
        .as("more tokens are another call")
        .isNotEqualTo(together.get(0).batchKey());
    assertThat(together.get(2).batchKey()).isEqualTo(together.get(0).batchKey());
    List<Trajectory> sharing = List.of(together.get(0), together.get(2), together.get(3));
    List<TrajectorySnapshot> saved = new ArrayList<>();
    while (!together.get(0).done()) {
      together.forEach(each -> saved.add(each.snapshot()));
      pipeline.step(sharing);
      pipeline.step(List.of(together.get(1)));
    }
    for (int i = 0; i < specs.size(); i++) {
      assertThat(finished(together.get(i))).containsExactly(alone.get(i), ALONE);
    }
    for (int i = 0; i < saved.size(); i++) {
      Trajectory restored = pipeline.restore(List.of(saved.get(i))).get(0);
      assertThat(finished(restored)).containsExactly(alone.get(i % specs.size()), ALONE);
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "a (cat:1.2.3); '1.2.3'",
        "[a:b:2] (cat; not balanced",
        "a red [heart|moon]]; not balanced",
      })
  void whatCannotBeReadIsRefusedBeforeItRuns(String prompt, String message) {
    assertThatThrownBy(() -> start(spec(prompt, "")))
        .as("what the operators answer with a failure event")
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining(message);
  }

  /** A text that changes begins with a whole call, so that nothing of the earlier one is reused. */
  @Test
  void noFeaturesOfAnotherTextAreReused() {
    GenerationSpec cached =
        spec("a [red:blue:1] cat", "").with(Parameters.CACHE_INTERVAL, (long) STEPS);
    Trajectory trajectory = start(cached).get(0);
    List<Boolean> whole = new ArrayList<>();
    while (!trajectory.done()) {
      whole.add(((DenoisingTrajectory) trajectory).kind() == DenoisingTrajectory.Kind.WHOLE);
      pipeline.step(List.of(trajectory));
    }
    // The scheduler of this folder calls the network five times in four steps.
    assertThat(whole).containsExactly(true, false, true, false, false);
    pipeline.finish(List.of(trajectory));
  }

  /** Each factor is within its own limit, and all of them together would take gigabytes. */
  @Test
  void whatOneRequestHasEncodedIsLimited() {
    GenerationSpec many = spec("[a|b] " + "BREAK c ".repeat(7), "").with(Parameters.STEPS, 50L);
    assertThatThrownBy(() -> start(many))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("At most 128 are accepted");
  }

  @Test
  void combinationsNeedGuidance() {
    assertThatThrownBy(
            () ->
                start(spec("a AND b", "").with(Parameters.GUIDANCE_INTERVAL, new Numbers(0, 0.5))))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("guidanceInterval");
    assertThatThrownBy(() -> start(spec("a AND b", "").with(Parameters.GUIDANCE_SCALE, 1.0)))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("guidanceScale is 1.0");
    assertThatThrownBy(() -> start(spec("a AND b", "").with(Parameters.GUIDANCE_RESCALE, 0.5)))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("guidanceRescale is 0.5");
    assertThatThrownBy(() -> start(spec("a", "").with(Parameters.PROMPT_LANGUAGE, "lisp")))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("plain or a1111");
  }

  /** Both of its text encoders read the prompt. */
  @Test
  void itIsReadByStableDiffusionXlToo() throws IOException {
    JsonNode texts =
        new ObjectMapper().readTree(FIXTURES.resolve("prompts/pictures-xl.json").toFile());
    try (DiffusionPipeline xl =
            Pipelines.open(
                FIXTURES.resolve("models/tiny-sdxl"), PipelineSettings.on(DeviceSpec.CPU));
        TensorStore golden = Safetensors.open(FIXTURES.resolve("prompts/tiny-sdxl.safetensors"))) {
      for (Map.Entry<String, JsonNode> each : texts.properties()) {
        GenerationSpec spec =
            spec(each.getValue().get(0).asText(), each.getValue().get(1).asText())
                .with(Parameters.WIDTH, 32L)
                .with(Parameters.HEIGHT, 32L);
        assertThat(finished(xl, spec))
            .as(each.getKey())
            .containsExactly(golden.floats(each.getKey()), TOLERANCE);
      }
      GenerationSpec both =
          spec("a (red:1.4) [cat|dog] AND night :0.5", "").with(Parameters.PROMPT_2, "other");
      assertThatThrownBy(() -> xl.model().prepare(both))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining("prompt2");
      assertThat(finished(xl, both.with(Parameters.PROMPT_2, ""))).isNotEmpty();
    }
  }

  private static float[] finished(DiffusionPipeline xl, GenerationSpec spec) {
    List<Trajectory> one = xl.start(List.of(xl.model().prepare(spec)));
    while (!one.get(0).done()) {
      xl.step(one);
      one = xl.restore(one.stream().map(Trajectory::snapshot).toList());
    }
    return xl.finish(one).get(0).image().data();
  }

  @Test
  void aLoraInThePromptNeedsTheAllowList() {
    assertThatThrownBy(() -> start(spec("a cat <lora:style:0.8>", "")))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageStartingWith(
            "The prompt names the LoRA 'style', but this job allows none. List it in"
                + " diffusion.loras.allowed");
    assertThatThrownBy(() -> start(spec("a cat <hypernet:style:0.8>", "")))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("accepted is <lora:name:0.8>");
    assertThat(plain("a cat <lora:style:0.8>", "")).isNotEqualTo(plain("a cat", ""));
  }

  /** The reference's are made by {@code src/test/python/make_compel_fixtures.py}. */
  @ParameterizedTest
  @CsvSource({"sd1,weights", "sd1,and", "sd1,blend", "sd1,long", "xl,weights"})
  void compelsPromptsGiveTheReferencesImage(String model, String name) throws IOException {
    compareWithCompel(model, name, PipelineSettings.on(DeviceSpec.CPU));
  }

  @ParameterizedTest
  @CsvSource({"xl,joined", "xl,blend", "xl,long", "sd1,joined"})
  @Tag("nightly")
  void moreOfCompelsPromptsGiveTheReferencesImage(String model, String name) throws IOException {
    compareWithCompel(model, name, PipelineSettings.on(DeviceSpec.CPU));
  }

  @ParameterizedTest
  @CsvSource({"sd1,weights", "xl,long"})
  @Tag("nightly")
  @Tag("names-its-engine")
  void compelsPromptsGiveTheReferencesImageOnTheOtherEngine(String model, String name)
      throws IOException {
    compareWithCompel(model, name, PipelineSettings.on(DeviceSpec.CPU).withEngine(Engines.PYTORCH));
  }

  private static void compareWithCompel(String model, String name, PipelineSettings settings)
      throws IOException {
    JsonNode texts =
        new ObjectMapper()
            .readTree(FIXTURES.resolve("prompts/compel-pictures.json").toFile())
            .get(name);
    GenerationSpec spec =
        spec(texts.get(0).asText(), texts.get(1).asText())
            .with(Parameters.PROMPT_LANGUAGE, "compel")
            .with(Parameters.WIDTH, 32L)
            .with(Parameters.HEIGHT, 32L);
    try (DiffusionPipeline compared =
            Pipelines.open(
                FIXTURES.resolve(model.equals("xl") ? "models/tiny-sdxl" : "models/tiny-sd1"),
                settings);
        TensorStore golden =
            Safetensors.open(FIXTURES.resolve("prompts/compel-pictures.safetensors"))) {
      assertThat(farthest(finished(compared, spec), golden.floats(model + "-" + name)))
          .as(model + "-" + name)
          .isLessThan(1e-3);
      assertThat(finished(compared, spec.with(Parameters.PROMPT_LANGUAGE, "plain")))
          .isNotEqualTo(golden.floats(model + "-" + name));
    }
  }

  private static double farthest(float[] a, float[] b) {
    double farthest = a.length == b.length ? 0 : Double.NaN;
    for (int i = 0; i < Math.min(a.length, b.length); i++) {
      farthest = Math.max(farthest, Math.abs(a[i] - b[i]));
    }
    return farthest;
  }

  @Test
  void whatCompelDoesNotReadIsRefused() {
    GenerationSpec compel = spec("a", "").with(Parameters.PROMPT_LANGUAGE, "compel");
    assertThatThrownBy(() -> start(compel.with(Parameters.PROMPT, "(\"a\", \"b\").and(1)")))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("2 texts and 1 weights");
    assertThatThrownBy(() -> start(compel.with(Parameters.NEGATIVE_PROMPT, "a cat.swap(dog)")))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining(".swap");
    assertThatThrownBy(() -> start(compel.with(Parameters.PROMPT, "(a)0.5 b ".repeat(60))))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("At most 128 are accepted");
  }
}
