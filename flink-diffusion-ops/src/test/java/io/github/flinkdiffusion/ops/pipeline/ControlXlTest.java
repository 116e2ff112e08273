/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static io.github.flinkdiffusion.ops.pipeline.SmallRequests.painted;
import static io.github.flinkdiffusion.ops.pipeline.SmallRequests.requireRefused;
import static io.github.flinkdiffusion.ops.pipeline.SmallRequests.requireSharedCalls;
import static io.github.flinkdiffusion.ops.pipeline.SmallRequests.spec;

import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * ControlNets of Stable Diffusion XL make diffusers' images though trajectories are restored after
 * every step, and requests with and without control share calls.
 */
class ControlXlTest extends ReferenceFolders {
  private static final FolderCases CASES =
      new FolderCases(
          "control-xl.json.gz",
          "two networks, StableDiffusionXLControlNetInpaintPipeline",
          "defaults of StableDiffusionXLControlNetImg2ImgPipeline",
          "union, a scale and a share of steps, StableDiffusionXLControlNetUnionPipeline",
          "union of another kind",
          "another context");

  ControlXlTest() {
    super(CASES);
  }

  private static GenerationSpec controlled(String id) {
    return spec(id).with(Parameters.CONTROL_IMAGE, painted(1));
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.ONNX_RUNTIME, Engines.PYTORCH})
  void requestsOfAllKindsOfImagesShareCalls(String engine) throws IOException {
    try (DiffusionPipeline pipeline =
        CASES.open("union, StableDiffusionXLControlNetUnionPipeline", engine, temp)) {
      requireSharedCalls(
          pipeline,
          List.of(
              spec("none"),
              controlled("a pose").with(Parameters.CONTROL_MODE, 0L),
              controlled("edges, without guidance")
                  .with(Parameters.CONTROL_MODE, 3L)
                  .with(Parameters.GUIDANCE_SCALE, 1.0),
              controlled("at first")
                  .with(Parameters.CONTROL_MODE, 5L)
                  .with(Parameters.CONTROL_GUIDANCE_END, new Numbers(0.5)),
              controlled("from an image")
                  .with(Parameters.CONTROL_MODE, 1L)
                  .with(Parameters.IMAGE, painted(6))));
    }
  }

  @Test
  void aUnionIsToldWhatTheImageIs() throws IOException {
    try (DiffusionPipeline pipeline =
        CASES.open("union, StableDiffusionXLControlNetUnionPipeline", Engines.ONNX_RUNTIME, temp)) {
      Map<GenerationSpec, String> refused =
          Map.of(
              controlled("nothing said"),
              "controlMode is absent; with a controlImage, it must be a whole number from 0 to 5",
              controlled("another").with(Parameters.CONTROL_MODE, 6L),
              "controlMode is 6; with a controlImage, it must be a whole number from 0 to 5",
              controlled("guessing")
                  .with(Parameters.CONTROL_MODE, 1L)
                  .with(Parameters.GUESS_MODE, 1L),
              "guessMode is 1; a ControlNet for several kinds of images knows no guess mode.",
              spec("no image").with(Parameters.CONTROL_MODE, 1L),
              "The request has a controlMode but no controlImage.");
      requireRefused(pipeline, refused);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.ONNX_RUNTIME, Engines.PYTORCH})
  void requestsOfAllKindsShareCallsAndChangeNothingForEachOther(String engine) throws IOException {
    try (DiffusionPipeline pipeline =
        CASES.open("an IP-Adapter plus and two networks", engine, temp)) {
      List<GenerationSpec> specs =
          List.of(
              spec("none"),
              controlled("the first"),
              spec("the second, without guidance")
                  .with(Parameters.CONTROL_IMAGE_2, painted(2))
                  .with(Parameters.GUIDANCE_SCALE, 1.0),
              controlled("both, at first")
                  .with(Parameters.CONTROL_IMAGE_2, painted(3))
                  .with(Parameters.CONTROL_GUIDANCE_END, new Numbers(0.5)),
              controlled("an image, guessing")
                  .with(Parameters.IP_ADAPTER_IMAGE, painted(4))
                  .with(Parameters.GUESS_MODE, 1L),
              spec("an image alone").with(Parameters.IP_ADAPTER_IMAGE, painted(5)),
              controlled("a part of an image")
                  .with(Parameters.IMAGE, painted(6))
                  .with(Parameters.MASK, Raster.filled(1, 16, 16, 1)));
      requireSharedCalls(pipeline, specs);
    }
  }
}
