/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static io.github.flinkdiffusion.ops.pipeline.SmallRequests.alone;
import static io.github.flinkdiffusion.ops.pipeline.SmallRequests.painted;
import static io.github.flinkdiffusion.ops.pipeline.SmallRequests.requireSharedCalls;
import static io.github.flinkdiffusion.ops.pipeline.SmallRequests.spec;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * IP-Adapters: each kind makes diffusers' image though it is restored after every step, and
 * requests of all kinds share calls.
 */
class ImagePromptsTest extends ReferenceFolders {
  private static final FolderCases CASES =
      new FolderCases(
          "ip-adapters.json.gz",
          "plus, two images",
          "an encoder beside the file",
          "full face",
          "three adapters of XL",
          "plain, with a ControlNet",
          "context alone",
          "FaceID",
          "an adapter of another context");

  private static Path folder;
  private static PipelineSettings settings;
  private static final Map<String, DiffusionPipeline> PIPELINES = new HashMap<>();

  ImagePromptsTest() {
    super(CASES);
  }

  @BeforeAll
  static void open() throws IOException {
    folder = temp.resolve("two");
    FolderCase two = CASES.named("plus, with two ControlNets");
    two.write(folder);
    settings = two.settings(folder);
    for (String engine : List.of(Engines.ONNX_RUNTIME, Engines.PYTORCH)) {
      PIPELINES.put(engine, Pipelines.open(folder, settings.withEngine(engine)));
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

  private static GenerationSpec shown(String id) {
    return spec(id).with(Parameters.IP_ADAPTER_IMAGE, painted(1, 24, 20));
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.ONNX_RUNTIME, Engines.PYTORCH})
  void requestsOfAllKindsShareCallsAndChangeNothingForEachOther(String engine) {
    DiffusionPipeline pipeline = PIPELINES.get(engine);
    List<GenerationSpec> specs =
        List.of(
            spec("none"),
            shown("an image"),
            shown("three images, without guidance")
                .with(Parameters.IP_ADAPTER_IMAGE_2, painted(2, 24, 20))
                .with(Parameters.IP_ADAPTER_IMAGE_3, painted(3, 24, 20))
                .with(Parameters.GUIDANCE_SCALE, 1.0),
            shown("a scale, no prompt")
                .with(Parameters.PROMPT, "")
                .with(Parameters.IP_ADAPTER_SCALE, new Numbers(0.7)),
            spec("controlled").with(Parameters.CONTROL_IMAGE, painted(4)),
            shown("an image, controlled at first")
                .with(Parameters.CONTROL_IMAGE_2, painted(5))
                .with(Parameters.CONTROL_GUIDANCE_END, new Numbers(0.5)),
            shown("guidance at first").with(Parameters.GUIDANCE_INTERVAL, new Numbers(0, 0.5)),
            shown("from an image")
                .with(Parameters.IMAGE, painted(6))
                .with(Parameters.STRENGTH, 0.5),
            shown("a part of an image")
                .with(Parameters.IMAGE, painted(7))
                .with(Parameters.MASK, Raster.filled(1, 16, 16, 1)));
    requireSharedCalls(pipeline, specs);
  }

  @Test
  void withoutImagesTheSameNetworksMakeWhatStableDiffusionMakes() {
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
  void decideAnImageByTheirContentAndName() throws IOException {
    PipelineSettings without = PipelineSettings.on(DeviceSpec.CPU);
    assertThat(Pipelines.digest(folder, settings)).isNotEqualTo(Pipelines.digest(folder, without));
    assertThat(Pipelines.weightBytes(folder, settings))
        .isGreaterThan(Pipelines.weightBytes(folder, without));
    assertThat(pipeline().model().info().loadedAs())
        .containsEntry("ipAdapters", "ip-plus.safetensors");
    // Another file of the same name is another adapter.
    Path other = Files.createDirectory(temp.resolve("other")).resolve("ip-plus.safetensors");
    byte[] bytes = Files.readAllBytes(settings.ipAdapters().get(0));
    bytes[bytes.length - 1] ^= 1;
    Files.write(other, bytes);
    assertThat(Pipelines.digest(folder, without.withIpAdapters(List.of(other), Optional.empty())))
        .isNotEqualTo(Pipelines.digest(folder, settings));
  }

  @Test
  void fillsInTheReferencesDefaults() {
    assertThat(pipeline().model().prepare(shown("one")).get(Parameters.IP_ADAPTER_SCALE))
        .isEqualTo(new Numbers(1));
    assertThat(pipeline().model().prepare(spec("none")).get(Parameters.IP_ADAPTER_SCALE)).isNull();
  }

  @Test
  void refusesWhatDoesNotFitByName() {
    List<Map.Entry<GenerationSpec, String>> refused = new ArrayList<>();
    refused.add(
        Map.entry(
            spec("no image").with(Parameters.IP_ADAPTER_SCALE, new Numbers(1)),
            "The request has a ipAdapterScale but no ipAdapterImage."));
    refused.add(
        Map.entry(
            spec("gray").with(Parameters.IP_ADAPTER_IMAGE, Raster.filled(1, 16, 16, 1)),
            "ipAdapterImage has 1 channels; it must have 3."));
    refused.add(
        Map.entry(
            shown("two").with(Parameters.IP_ADAPTER_SCALE, new Numbers(1, 1)),
            "ipAdapterScale has 2 numbers; it must have one, or one for each IP-Adapter of the"
                + " model, 1."));
    refused.add(
        Map.entry(
            shown("inverted")
                .with(Parameters.IMAGE, painted(1))
                .with(Parameters.SOURCE_PROMPT, "a chair"),
            "The request has a sourcePrompt and an ipAdapterImage; it may have one of both."));
    for (Map.Entry<GenerationSpec, String> each : refused) {
      assertThatThrownBy(() -> pipeline().model().prepare(each.getKey()))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageStartingWith(each.getValue());
    }
  }

  @Test
  void refusesFilesThatAreNoneAndTasksThatTakeNone() throws IOException {
    PipelineSettings plain = PipelineSettings.on(DeviceSpec.CPU);
    Path pickled = Files.writeString(temp.resolve("ip.bin"), "pickled");
    Map<List<Path>, String> refused =
        Map.of(
            List.of(temp.resolve("nowhere.safetensors")), "does not exist",
            List.of(pickled), "expected a .safetensors file",
            List.of(folder.resolve("unet/diffusion_pytorch_model.safetensors")),
                "is no IP-Adapter");
    refused.forEach(
        (files, message) ->
            assertThatThrownBy(
                    () ->
                        Pipelines.open(
                            folder,
                            plain.withIpAdapters(
                                files, Optional.of(folder.resolve("image_encoder")))))
                .isInstanceOf(WeightsException.class)
                .hasMessageContaining(message));
    FolderCase variation =
        FolderCase.read(Path.of("src/test/resources/fixtures/folders/random.json.gz")).stream()
            .filter(
                each ->
                    each.json()
                        .get("pipeline")
                        .asText()
                        .equals("StableDiffusionInstructPix2PixPipeline"))
            .findFirst()
            .orElseThrow();
    Path other = temp.resolve("instruct");
    variation.write(other);
    assertThatThrownBy(
            () ->
                Pipelines.open(
                    other,
                    plain.withIpAdapters(
                        settings.ipAdapters(), Optional.of(folder.resolve("image_encoder")))))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("diffusion.model.ip-adapters");
  }
}
