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
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Labels of images against transformers' zero-shot-image-classification, on a tiny CLIP. */
class LabelPipelineTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures/classifier");
  private static final Path CLIP = FIXTURES.resolve("tiny-clip");

  private static JsonNode golden() throws IOException {
    return new ObjectMapper().readTree(FIXTURES.resolve("classifiers.json").toFile());
  }

  private static DiffusionPipeline open() {
    return Pipelines.open(CLIP, PipelineSettings.on(DeviceSpec.CPU));
  }

  private static GenerationSpec spec(Raster image, String labels) {
    return GenerationSpec.of("image")
        .with(Parameters.IMAGE, image)
        .with(Parameters.CANDIDATE_LABELS, labels);
  }

  @Test
  void scoresAreThoseOfTransformersInOneBatchOfTwoTemplates() throws IOException {
    JsonNode golden = golden();
    JsonNode words = golden.get("words");
    JsonNode templates = golden.get("templates");
    List<Raster> images = BlipTextsTest.images().subList(0, 12);
    try (DiffusionPipeline pipeline = open()) {
      List<GenerationRequest> requests = new ArrayList<>();
      for (int i = 0; i < images.size(); i++) {
        GenerationSpec spec = spec(images.get(i), words.toString());
        // The first template is the one of a request that names none.
        requests.add(pipeline.model().prepare(spec));
        requests.add(
            pipeline
                .model()
                .prepare(spec.with(Parameters.LABEL_TEMPLATE, templates.get(1).textValue())));
      }
      List<Trajectory> batch = pipeline.start(requests);
      pipeline.step(batch);
      List<GeneratedImage> results = pipeline.finish(batch);

      for (int i = 0; i < results.size(); i++) {
        JsonNode expected = golden.get("zero-shot").get(i % 2).get(i / 2);
        GeneratedText label = results.get(i).text().orElseThrow();
        int best = 0;
        for (int k = 0; k < words.size(); k++) {
          assertThat(label.shares().get(words.get(k).textValue()))
              .isCloseTo((float) expected.get(k).asDouble(), within(2e-5f));
          best = expected.get(k).asDouble() > expected.get(best).asDouble() ? k : best;
        }
        assertThat(label.text()).isEqualTo(words.get(best).textValue());
        assertThat(batch.get(i).done()).isTrue();
      }
    }
  }

  @Test
  void anImageRestoredBeforeOrAfterItsStepHasTheSameScores() {
    try (DiffusionPipeline pipeline = open()) {
      GenerationRequest request =
          pipeline.model().prepare(spec(BlipTextsTest.images().get(3), "[\"cat\",\"sea\"]"));
      Trajectory whole = pipeline.start(List.of(request)).get(0);
      Trajectory before = pipeline.restore(List.of(whole.snapshot())).get(0);
      pipeline.step(List.of(whole, before));
      Trajectory after = pipeline.restore(List.of(whole.snapshot())).get(0);
      assertThat(after.done()).isFalse();
      pipeline.step(List.of(after));
      List<GeneratedText> texts =
          pipeline.finish(List.of(whole, before, after)).stream()
              .map(each -> each.text().orElseThrow())
              .toList();
      for (GeneratedText each : texts) {
        assertThat(each.text()).isEqualTo(texts.get(0).text());
        // The last one had a call of its own, which rounds otherwise.
        each.shares()
            .forEach(
                (label, share) ->
                    assertThat(share).isCloseTo(texts.get(0).shares().get(label), within(1e-5f)));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "cat", "[]", "{}", "[1]", "[\"\"]", "[\"cat\",\"cat\"]", "[\"cat\""})
  void refusesWhatAreNoLabels(String labels) {
    try (DiffusionPipeline pipeline = open()) {
      GenerationSpec spec = spec(BlipTextsTest.images().get(0), labels);
      assertThatThrownBy(() -> pipeline.model().prepare(spec))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining("candidateLabels")
          .hasMessageContaining("JSON array of 1 to 256 different texts");
    }
  }

  @Test
  void refusesALabelThatIsTooLongAndATemplateWithoutAPlace() {
    try (DiffusionPipeline pipeline = open()) {
      GenerationSpec spec =
          spec(BlipTextsTest.images().get(0), "[\"" + "a ".repeat(100).strip() + "\"]");
      assertThatThrownBy(() -> pipeline.model().prepare(spec))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining("the model takes at most 77");
      assertThatThrownBy(
              () -> pipeline.model().prepare(spec.with(Parameters.LABEL_TEMPLATE, "a photo")))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining("{} once");
    }
  }

  @Test
  void anotherVocabularyIsAnotherModel(@TempDir Path folder) throws IOException {
    try (Stream<Path> files = Files.list(CLIP)) {
      for (Path file : files.toList()) {
        Files.copy(file, folder.resolve(file.getFileName()));
      }
    }
    String digest = digest(folder);
    assertThat(digest).isEqualTo(digest(CLIP));
    for (String file : List.of("vocab.json", "merges.txt", "preprocessor_config.json")) {
      Files.writeString(folder.resolve(file), Files.readString(folder.resolve(file)) + " ");
      assertThat(digest(folder)).as(file).isNotEqualTo(digest);
      digest = digest(folder);
    }
  }

  private static String digest(Path folder) {
    return ModelFolder.open(folder).digest();
  }
}
