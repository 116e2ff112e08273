/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static io.github.flinkdiffusion.ops.pipeline.SmallRequests.alone;
import static io.github.flinkdiffusion.ops.pipeline.SmallRequests.painted;
import static io.github.flinkdiffusion.ops.pipeline.SmallRequests.requireSharedCalls;
import static io.github.flinkdiffusion.ops.pipeline.SmallRequests.restored;
import static io.github.flinkdiffusion.ops.pipeline.SmallRequests.spec;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What FolderParityTest cannot see: requests with control and without, in calls of their own and
 * shared; trajectories that go on after any step. Of a model with two ControlNets.
 */
class ControlTest {
  private static final FolderCases CASES =
      new FolderCases("added/StableDiffusionControlNetPipeline.json.gz");

  @TempDir private static Path temp;
  private static Path folder;
  private static final Map<String, DiffusionPipeline> PIPELINES = new HashMap<>();

  @BeforeAll
  static void open() throws IOException {
    folder = temp.resolve("two");
    FolderCase two = CASES.named("two networks, StableDiffusionControlNetPipeline");
    two.write(folder);
    for (String engine : List.of(Engines.ONNX_RUNTIME, Engines.PYTORCH)) {
      PIPELINES.put(
          engine, Pipelines.open(folder, PipelineSettings.on(DeviceSpec.CPU).withEngine(engine)));
    }
  }

  @AfterAll
  static void close() {
    PIPELINES.values().forEach(DiffusionPipeline::close);
    PIPELINES.clear();
  }

  private static DiffusionPipeline pipeline() {
    return PIPELINES.get(Engines.ONNX_RUNTIME);
  }

  private static GenerationSpec controlled(String id) {
    return spec(id).with(Parameters.CONTROL_IMAGE, painted(1));
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.ONNX_RUNTIME, Engines.PYTORCH})
  void requestsOfAllKindsShareCallsAndChangeNothingForEachOther(String engine) {
    DiffusionPipeline pipeline = PIPELINES.get(engine);
    List<GenerationSpec> specs =
        List.of(
            spec("none"),
            controlled("the first"),
            spec("the second, without guidance")
                .with(Parameters.CONTROL_IMAGE_2, painted(2))
                .with(Parameters.GUIDANCE_SCALE, 1.0),
            controlled("both")
                .with(Parameters.CONTROL_IMAGE_2, painted(3))
                .with(Parameters.CONTROLNET_CONDITIONING_SCALE, new Numbers(0.5, 1.2)),
            controlled("at first").with(Parameters.CONTROL_GUIDANCE_END, new Numbers(0.5)),
            controlled("at last, guessing")
                .with(Parameters.CONTROL_GUIDANCE_START, new Numbers(0.5))
                .with(Parameters.GUESS_MODE, 1L),
            controlled("from an image")
                .with(Parameters.IMAGE, painted(4))
                .with(Parameters.STRENGTH, 0.5),
            controlled("a part of an image")
                .with(Parameters.IMAGE, painted(5))
                .with(Parameters.MASK, Raster.filled(1, 16, 16, 1)));
    requireSharedCalls(pipeline, specs);
  }

  @Test
  void aTrajectorySavedAtAnyStepEndsInTheSameImage() {
    GenerationSpec spec =
        controlled("saved")
            .with(Parameters.CONTROL_IMAGE_2, painted(3))
            .with(Parameters.CONTROL_GUIDANCE_START, new Numbers(0, 0.25))
            .with(Parameters.CONTROL_GUIDANCE_END, new Numbers(0.75, 1));
    Raster expected = alone(pipeline(), spec);
    assertThat(FolderCase.distance(restored(pipeline(), spec), expected)).isZero();
  }

  @Test
  void withoutControlTheSameNetworksMakeWhatStableDiffusionMakes() {
    try (DiffusionPipeline plain =
        Pipelines.openAs(
            "StableDiffusionPipeline",
            folder,
            PipelineSettings.on(DeviceSpec.CPU).withEngine(Engines.ONNX_RUNTIME))) {
      assertThat(FolderCase.distance(alone(plain, spec("same")), alone(pipeline(), spec("same"))))
          .isZero();
    }
  }

  @Test
  void fillsInTheReferencesDefaults() {
    GenerationRequest text = pipeline().model().prepare(controlled("text"));
    assertThat(text.get(Parameters.CONTROLNET_CONDITIONING_SCALE)).isEqualTo(new Numbers(1));
    assertThat(text.get(Parameters.CONTROL_GUIDANCE_START)).isEqualTo(new Numbers(0));
    assertThat(text.get(Parameters.CONTROL_GUIDANCE_END)).isEqualTo(new Numbers(1));
    assertThat(text.get(Parameters.GUESS_MODE)).isZero();
    GenerationSpec image = controlled("image").with(Parameters.IMAGE, painted(2));
    assertThat(pipeline().model().prepare(image).get(Parameters.CONTROLNET_CONDITIONING_SCALE))
        .isEqualTo(new Numbers(0.8));
    GenerationSpec mask = image.with(Parameters.MASK, Raster.filled(1, 16, 16, 1));
    assertThat(pipeline().model().prepare(mask).get(Parameters.CONTROLNET_CONDITIONING_SCALE))
        .isEqualTo(new Numbers(0.5));
    GenerationRequest none = pipeline().model().prepare(spec("none"));
    assertThat(none.get(Parameters.CONTROLNET_CONDITIONING_SCALE)).isNull();
  }

  @Test
  void refusesWhatDoesNotFitByName() {
    List<Map.Entry<GenerationSpec, String>> refused = new ArrayList<>();
    refused.add(
        Map.entry(
            spec("no image").with(Parameters.GUESS_MODE, 1L),
            "The request has a guessMode but no controlImage."));
    refused.add(
        Map.entry(
            spec("gray").with(Parameters.CONTROL_IMAGE, Raster.filled(1, 16, 16, 1)),
            "controlImage has 1 channels; it must have 3."));
    refused.add(
        Map.entry(
            controlled("three").with(Parameters.CONTROL_GUIDANCE_END, new Numbers(1, 1, 1)),
            "controlGuidanceEnd has 3 numbers; it must have one, or one for each ControlNet of the"
                + " model, 2."));
    refused.add(
        Map.entry(
            controlled("late").with(Parameters.CONTROL_GUIDANCE_END, new Numbers(1.5)),
            "controlGuidanceEnd is [1.5]; it must be numbers from 0 to 1."));
    refused.add(
        Map.entry(
            controlled("backwards")
                .with(Parameters.CONTROL_GUIDANCE_START, new Numbers(0.5))
                .with(Parameters.CONTROL_GUIDANCE_END, new Numbers(0.5)),
            "controlGuidanceStart is 0.5 and controlGuidanceEnd is 0.5; the start must be less"
                + " than the end."));
    refused.add(
        Map.entry(
            controlled("inverted")
                .with(Parameters.IMAGE, painted(1))
                .with(Parameters.SOURCE_PROMPT, "a chair"),
            "The request has a sourcePrompt and a controlImage; it may have one of both."));
    refused.add(
        Map.entry(
            controlled("third").with(Parameters.CONTROL_IMAGE_3, painted(1)),
            "The request has controlImage3, which StableDiffusionPipeline does not take"));
    for (Map.Entry<GenerationSpec, String> each : refused) {
      assertThatThrownBy(() -> pipeline().model().prepare(each.getKey()))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageStartingWith(each.getValue());
    }
  }

  @Test
  void refusesAPrecisionOfItsOwnAndAFolderWithoutOne() throws IOException {
    PipelineSettings settings =
        PipelineSettings.on(DeviceSpec.CPU)
            .withComponents(
                ComponentSettings.of(Map.of("controlnet", Precision.BFLOAT16), Map.of(), false));
    assertThatThrownBy(() -> Pipelines.open(folder, settings))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("controlnet runs with unet");
    Path without = temp.resolve("without");
    FolderCase.read(CASES.file()).get(0).write(without);
    Path index = without.resolve("model_index.json");
    Files.writeString(index, Files.readString(index).replace("\"controlnet\"", "\"_controlnet\""));
    assertThatThrownBy(() -> Pipelines.open(without, PipelineSettings.on(DeviceSpec.CPU)))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("has no component 'controlnet'");
  }
}
