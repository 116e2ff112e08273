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
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** UniDiffuser in all its modes against diffusers, on two tiny random folders. */
class JointPipelineTest {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models");
  private static final String V1 = "tiny-unidiffuser";
  private static final String PLAIN = "tiny-unidiffuser-plain";
  private static final double TOLERANCE = 1e-3;

  private record Case(String folder, JsonNode json) {
    private Path golden() {
      return MODELS.resolve(folder).resolve("golden");
    }

    float[] floats(String name) {
      try (TensorStore store = Safetensors.open(golden().resolve("cases.safetensors"))) {
        return store.floats(name);
      }
    }

    private Raster image() {
      try (TensorStore store = Safetensors.open(golden().resolve("cases.safetensors"))) {
        String name = json.get("image").asText();
        long[] shape = store.info(name).shape();
        return new Raster((int) shape[0], (int) shape[1], (int) shape[2], store.floats(name));
      }
    }

    GenerationSpec spec() {
      JsonNode arguments = json.get("arguments");
      GenerationSpec spec =
          GenerationSpec.of(json.get("name").asText())
              .with(Parameters.MODE, json.get("mode").asText())
              .with(Parameters.SEED, json.get("seed").asLong())
              .with(Parameters.SCHEDULER, json.get("scheduler").asText())
              .with(Parameters.STEPS, arguments.get("num_inference_steps").asLong())
              .with(Parameters.GUIDANCE_SCALE, arguments.path("guidance_scale").asDouble(8))
              .with(Parameters.ETA, arguments.path("eta").asDouble(0));
      if (arguments.has("data_type")) {
        spec = spec.with(Parameters.DATA_TYPE, arguments.get("data_type").asLong());
      }
      if (json.has("image")) {
        spec = spec.with(Parameters.IMAGE, image());
      }
      return json.get("prompt").isNull()
          ? spec
          : spec.with(Parameters.PROMPT, json.get("prompt").asText());
    }

    @Override
    public String toString() {
      return folder + ": " + json.get("name").asText();
    }
  }

  private static List<Case> cases(String folder) throws IOException {
    List<Case> cases = new ArrayList<>();
    new ObjectMapper()
        .readTree(MODELS.resolve(folder).resolve("golden/cases.json").toFile())
        .forEach(json -> cases.add(new Case(folder, json)));
    return cases;
  }

  private static DiffusionPipeline open(String folder) {
    return Pipelines.open(MODELS.resolve(folder), PipelineSettings.on(DeviceSpec.CPU));
  }

  private static void assertEqualsReference(Case of, GeneratedImage result) {
    if (of.json().has("text")) {
      assertThat(result.text().orElseThrow().text())
          .as("%s", of)
          .isEqualTo(of.json().get("text").asText());
    } else {
      assertThat(result.text()).isEmpty();
    }
    if (of.json().has("result")) {
      assertThat(worst(result.image().data(), of.floats(of.json().get("result").asText())))
          .as("%s", of)
          .isLessThanOrEqualTo(TOLERANCE);
    } else {
      assertThatThrownBy(result::image).isInstanceOf(IllegalStateException.class);
    }
  }

  private static double worst(float[] actual, float[] expected) {
    assertThat(actual).hasSameSizeAs(expected);
    double worst = 0;
    for (int i = 0; i < actual.length; i++) {
      worst = Math.max(worst, Math.abs(actual[i] - expected[i]));
    }
    return worst;
  }

  @ParameterizedTest
  @ValueSource(strings = {V1, PLAIN})
  void everyModeGivesTheReferencesImagesAndTexts(String folder) throws IOException {
    try (DiffusionPipeline pipeline = open(folder)) {
      for (Case each : cases(folder)) {
        GenerationRequest request = pipeline.model().prepare(each.spec());
        List<Trajectory> one = pipeline.start(List.of(request));
        int calls = each.json().get("steps").asInt();
        assertThat(one.get(0).totalSteps())
            .isEqualTo(pipeline.model().calls(request))
            .isEqualTo(calls + (each.json().has("text") ? JointNetworks.MOST_TOKENS : 0));
        long most = 0;
        while (!one.get(0).done()) {
          most = Math.max(most, bytes(one.get(0).snapshot()));
          pipeline.step(one);
          if (one.get(0).step() == calls) {
            float[] expected = each.floats(each.json().get("name").asText() + "/sample");
            float[] sample = one.get(0).snapshot().sample();
            float greatest = 0;
            for (float value : expected) {
              greatest = Math.max(greatest, Math.abs(value));
            }
            assertThat(worst(Arrays.copyOf(sample, expected.length), expected))
                .as("%s, the sample", each)
                .isLessThanOrEqualTo(TOLERANCE * Math.max(1, greatest));
          }
        }
        assertThat(pipeline.model().trajectoryBytes(request)).isGreaterThanOrEqualTo(most);
        assertEqualsReference(each, pipeline.finish(one).get(0));
      }
    }
  }

  private static long bytes(TrajectorySnapshot saved) {
    long numbers = saved.sample().length;
    for (float[] earlier : saved.history()) {
      numbers += earlier.length;
    }
    return Float.BYTES * numbers;
  }

  @Test
  void aRequestSavedAfterEachStepAndTokenEndsInTheSameResult() throws IOException {
    savedAfterEachStep(PLAIN);
  }

  @Test
  @Tag("nightly")
  void aRequestOfThisModelSavedAfterEachStepAndTokenEndsInTheSameResult() throws IOException {
    savedAfterEachStep(V1);
  }

  private static void savedAfterEachStep(String folder) throws IOException {
    try (DiffusionPipeline pipeline = open(folder)) {
      for (Case each : cases(folder)) {
        Trajectory one = pipeline.start(List.of(pipeline.model().prepare(each.spec()))).get(0);
        while (!one.done()) {
          pipeline.step(List.of(one));
          TrajectorySnapshot saved = one.snapshot();
          one = pipeline.restore(List.of(saved)).get(0);
          assertThat(one.snapshot()).isEqualTo(saved);
        }
        assertEqualsReference(each, pipeline.finish(List.of(one)).get(0));
      }
    }
  }

  /** At other steps, in other modes and with other schedulers, in one call. */
  @ParameterizedTest
  @ValueSource(strings = {V1, PLAIN})
  void requestsOfAllModesShareCallsAndEndInTheSameResults(String folder) throws IOException {
    try (DiffusionPipeline pipeline = open(folder)) {
      Map<Case, Trajectory> all = new LinkedHashMap<>();
      int widest = 0;
      for (Case each : cases(folder)) {
        all.put(each, pipeline.start(List.of(pipeline.model().prepare(each.spec()))).get(0));
        widest = Math.max(widest, step(pipeline, all.values().stream().toList()));
      }
      while (all.values().stream().anyMatch(each -> !each.done())) {
        widest = Math.max(widest, step(pipeline, all.values().stream().toList()));
      }
      assertThat(widest).as("requests in one call").isGreaterThan(2);
      Map<Object, List<Case>> done =
          all.keySet().stream().collect(Collectors.groupingBy(each -> all.get(each).batchKey()));
      assertThat(done).hasSize(2);
      for (List<Case> together : done.values()) {
        List<GeneratedImage> results = pipeline.finish(together.stream().map(all::get).toList());
        for (int i = 0; i < together.size(); i++) {
          assertEqualsReference(together.get(i), results.get(i));
        }
      }
    }
  }

  private static int step(DiffusionPipeline pipeline, List<Trajectory> all) {
    int widest = 0;
    for (List<Trajectory> together :
        all.stream()
            .filter(each -> !each.done())
            .collect(Collectors.groupingBy(Trajectory::batchKey))
            .values()) {
      pipeline.step(together);
      widest = Math.max(widest, together.size());
    }
    return widest;
  }

  /** Texts of prefixes that are nothing but noise: they end after other numbers of tokens. */
  @ParameterizedTest
  @ValueSource(strings = {V1, PLAIN})
  void beamSearchFindsTheReferencesTokens(String folder) throws IOException {
    Path golden = MODELS.resolve(folder).resolve("golden");
    JsonNode expected = new ObjectMapper().readTree(golden.resolve("beams.json").toFile());
    try (TensorStore prefixes = Safetensors.open(golden.resolve("beams.safetensors"));
        JointNetworks networks = networks(folder)) {
      for (JsonNode each : expected) {
        float[] prefix = prefixes.floats(each.get("prefix").asText());
        List<AverageBeams.Beam> beams = AverageBeams.begin();
        while (!networks.beams().over(beams)) {
          var scores =
              networks.scores(
                  beams.stream()
                      .filter(beam -> !beam.ended())
                      .map(beam -> new JointNetworks.Written(prefix, beam.tokens()))
                      .toList());
          beams = networks.beams().next(beams, scores.data(), 0, (int) scores.shape()[1]);
        }
        AverageBeams.Beam best = AverageBeams.result(beams);
        List<Integer> ids = new ArrayList<>();
        each.get("ids").forEach(id -> ids.add(id.asInt()));
        List<Integer> own = new ArrayList<>();
        for (int i = 0; i < best.length(); i++) {
          own.add(best.tokens()[i]);
        }
        assertThat(own).as("prefix %s", each.get("prefix")).isEqualTo(ids);
        GeneratedText text = networks.written(beams);
        assertThat(text.text()).isEqualTo(each.get("text").asText());
        assertThat(text.ended()).isEqualTo(ids.size() < JointNetworks.MOST_TOKENS || best.ended());
      }
    }
  }

  private static JointNetworks networks(String folder) {
    ModelFolder model = ModelFolder.open(MODELS.resolve(folder));
    return new JointNetworks(
        new Components(
            model, PipelineSettings.on(DeviceSpec.CPU), ModelCheck.begin(model, e -> e)));
  }

  @Test
  void theModeFollowsFromWhatIsGiven() {
    Raster gray = new Raster(3, 32, 32, new float[3 * 32 * 32]);
    try (DiffusionPipeline pipeline = open(V1)) {
      Model model = pipeline.model();
      GenerationSpec nothing = GenerationSpec.of("a");
      assertThat(model.prepare(nothing).get(Parameters.MODE)).isEqualTo("joint");
      // An event always has a prompt.
      GenerationSpec empty = nothing.with(Parameters.PROMPT, "");
      assertThat(model.prepare(empty).get(Parameters.MODE)).isEqualTo("joint");
      assertThat(model.prepare(empty.with(Parameters.IMAGE, gray)).get(Parameters.MODE))
          .isEqualTo("img2text");
      GenerationRequest ofText = model.prepare(nothing.with(Parameters.PROMPT, "a cat"));
      assertThat(ofText.get(Parameters.MODE)).isEqualTo("text2img");
      assertThat(ofText.get(Parameters.DATA_TYPE)).isEqualTo(1);
      assertThat(model.result(ofText.arguments())).isEqualTo(ResultMeaning.PICTURE);
      assertThat(model.result(model.prepare(empty.with(Parameters.MODE, "text")).arguments()))
          .isEqualTo(ResultMeaning.TEXT);
    }
  }

  @Test
  void whatAModeDoesNotUseIsRefused() {
    Raster gray = new Raster(3, 32, 32, new float[3 * 32 * 32]);
    GenerationSpec spec = GenerationSpec.of("a");
    try (DiffusionPipeline pipeline = open(PLAIN)) {
      assertRefused(pipeline, spec.with(Parameters.MODE, "video"), "mode");
      assertRefused(
          pipeline, spec.with(Parameters.MODE, "text2img"), "mode text2img and no prompt");
      assertRefused(pipeline, spec.with(Parameters.MODE, "img2text"), "mode img2text and no image");
      assertRefused(
          pipeline,
          spec.with(Parameters.PROMPT, "a cat").with(Parameters.IMAGE, gray),
          "mode text2img and a parameter image");
      assertRefused(
          pipeline,
          spec.with(Parameters.PROMPT, "a cat").with(Parameters.MODE, "img"),
          "mode img and a parameter prompt");
      assertRefused(pipeline, spec.with(Parameters.WIDTH, 64L), "64 x 32");
      assertRefused(pipeline, spec.with(Parameters.DATA_TYPE, 1L), "dataType");
      assertRefused(pipeline, spec.with(Parameters.NEGATIVE_PROMPT, "a dog"), "negativePrompt");
    }
  }

  private static void assertRefused(DiffusionPipeline pipeline, GenerationSpec spec, String why) {
    assertThatThrownBy(() -> pipeline.model().prepare(spec))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining(why);
  }
}
