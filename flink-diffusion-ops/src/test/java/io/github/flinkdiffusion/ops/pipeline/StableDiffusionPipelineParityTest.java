/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
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

/** Same folder, prompt, seed, scheduler and steps: the picture that diffusers makes. */
class StableDiffusionPipelineParityTest {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models");
  private static final List<String> FOLDERS = List.of("tiny-sd1", "tiny-sd2");
  private static final double TOLERANCE = 1e-3;
  private static final Map<String, DiffusionPipeline> OPEN = new HashMap<>();

  private record PictureCase(String folder, JsonNode json) {
    GenerationRequest request() {
      return new GenerationRequest(
          json.get("name").asText(),
          Arguments.NONE
              .with(Parameters.PROMPT, json.get("prompt").asText())
              .with(
                  Parameters.NEGATIVE_PROMPT,
                  json.get("negativePrompt").isNull() ? "" : json.get("negativePrompt").asText())
              .with(Parameters.SEED, json.get("seed").asLong())
              .with(Parameters.SCHEDULER, json.get("scheduler").asText())
              .with(Parameters.STEPS, json.get("steps").asLong())
              .with(Parameters.GUIDANCE_SCALE, json.get("guidanceScale").asDouble())
              .with(Parameters.GUIDANCE_RESCALE, 0.0)
              .with(Parameters.WIDTH, json.get("width").asLong())
              .with(Parameters.HEIGHT, json.get("height").asLong()));
    }

    @Override
    public String toString() {
      return folder + ": " + json.get("name").asText();
    }
  }

  static Stream<PictureCase> cases() throws IOException {
    List<PictureCase> cases = new ArrayList<>();
    for (String folder : FOLDERS) {
      JsonNode manifest =
          new ObjectMapper().readTree(MODELS.resolve(folder).resolve("golden/cases.json").toFile());
      manifest.get("cases").forEach(json -> cases.add(new PictureCase(folder, json)));
    }
    return cases.stream();
  }

  private static DiffusionPipeline pipeline(String folder) {
    return OPEN.computeIfAbsent(
        folder, name -> Pipelines.open(MODELS.resolve(name), PipelineSettings.on(DeviceSpec.CPU)));
  }

  @AfterAll
  static void close() {
    OPEN.values().forEach(DiffusionPipeline::close);
    OPEN.clear();
  }

  @ParameterizedTest
  @MethodSource("cases")
  void makesTheReferencesPicture(PictureCase picture) {
    DiffusionPipeline pipeline = pipeline(picture.folder());
    List<Trajectory> trajectory = pipeline.start(List.of(picture.request()));
    assertThat(trajectory.get(0).totalSteps())
        .isEqualTo(picture.json().get("networkCalls").asInt());
    while (!trajectory.get(0).done()) {
      pipeline.step(trajectory);
    }
    assertEqualsReference(picture, pipeline.finish(trajectory).get(0));
  }

  /**
   * Requests of all schedulers, step counts and guidance share calls, joining as they come and
   * leaving when they are done.
   */
  @Test
  void requestsThatShareCallsMakeTheirOwnPictures() throws IOException {
    DiffusionPipeline pipeline = pipeline("tiny-sd1");
    List<PictureCase> waiting =
        new ArrayList<>(
            cases()
                .filter(
                    c ->
                        c.folder().equals("tiny-sd1")
                            && c.json().get("width").asInt() == 64
                            && c.json().get("height").asInt() == 64)
                .toList());
    Map<String, PictureCase> byId = new HashMap<>();
    waiting.forEach(c -> byId.put(c.json().get("name").asText(), c));
    List<Trajectory> running = new ArrayList<>();
    int pictures = 0;
    while (!waiting.isEmpty() || !running.isEmpty()) {
      if (!waiting.isEmpty()) {
        running.addAll(pipeline.start(List.of(waiting.remove(0).request())));
      }
      pipeline.step(running);
      List<Trajectory> done = running.stream().filter(Trajectory::done).toList();
      if (!done.isEmpty()) {
        running.removeAll(done);
        for (GeneratedImage image : pipeline.finish(done)) {
          assertEqualsReference(byId.get(image.request().id()), image);
          pictures++;
        }
      }
    }
    assertThat(pictures).isEqualTo(byId.size()).isGreaterThan(8);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void aTrajectorySavedAtAnyStepEndsInTheSamePicture(PictureCase picture) {
    DiffusionPipeline pipeline = pipeline(picture.folder());
    Trajectory trajectory = pipeline.start(List.of(picture.request())).get(0);
    while (!trajectory.done()) {
      pipeline.step(List.of(trajectory));
      // Taken off the device and put back after every single step.
      trajectory = pipeline.restore(List.of(trajectory.snapshot())).get(0);
    }
    assertEqualsReference(picture, pipeline.finish(List.of(trajectory)).get(0));
  }

  private static void assertEqualsReference(PictureCase picture, GeneratedImage image) {
    try (TensorStore golden =
        Safetensors.open(MODELS.resolve(picture.folder()).resolve("golden/pictures.safetensors"))) {
      String name = picture.json().get("tensors").get("image").asText();
      float[] expected = golden.floats(name);
      float[] actual = image.image().data();
      assertThat(
              new long[] {image.image().channels(), image.image().height(), image.image().width()})
          .isEqualTo(golden.info(name).shape());
      double worst = 0;
      for (int i = 0; i < expected.length; i++) {
        worst = Math.max(worst, Math.abs(actual[i] - expected[i]));
      }
      assertThat(worst).as(picture.toString()).isLessThanOrEqualTo(TOLERANCE);
    }
  }
}
