/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static io.github.flinkdiffusion.ops.pipeline.SmallRequests.painted;
import static io.github.flinkdiffusion.ops.pipeline.SmallRequests.requireRefused;
import static io.github.flinkdiffusion.ops.pipeline.SmallRequests.requireSharedCalls;
import static io.github.flinkdiffusion.ops.pipeline.SmallRequests.spec;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * T2I-Adapters: each kind makes diffusers' image though it is restored after every step, and
 * requests with them and without share calls.
 */
class T2IAdaptersTest extends ReferenceFolders {
  private static final FolderCases CASES =
      new FolderCases(
          "t2i-adapters.json.gz",
          "light",
          "two adapters",
          "XL, a share of the steps",
          "other widths",
          "other sizes");

  T2IAdaptersTest() {
    super(CASES);
  }

  private static GenerationSpec sketched(String id) {
    return spec(id).with(Parameters.ADAPTER_IMAGE, painted(1));
  }

  @ParameterizedTest
  @ValueSource(strings = {Engines.ONNX_RUNTIME, Engines.PYTORCH})
  void requestsOfAllKindsShareCallsAndChangeNothingForEachOther(String engine) throws IOException {
    try (DiffusionPipeline pipeline = CASES.open("XL with an IP-Adapter", engine, temp)) {
      List<GenerationSpec> specs =
          List.of(
              spec("none"),
              sketched("a sketch"),
              sketched("a sketch at first, without guidance")
                  .with(Parameters.ADAPTER_CONDITIONING_FACTOR, 0.5)
                  .with(Parameters.GUIDANCE_SCALE, 1.0),
              sketched("half a sketch")
                  .with(Parameters.ADAPTER_CONDITIONING_SCALE, new Numbers(0.5)),
              spec("an image").with(Parameters.IP_ADAPTER_IMAGE, painted(3)),
              sketched("a sketch and an image").with(Parameters.IP_ADAPTER_IMAGE, painted(4)),
              spec("from an image")
                  .with(Parameters.IMAGE, painted(5))
                  .with(Parameters.STRENGTH, 0.5));
      requireSharedCalls(pipeline, specs);
    }
  }

  @Test
  void refusesWhatDoesNotFitByName() throws IOException {
    try (DiffusionPipeline pipeline = CASES.open("two adapters", Engines.ONNX_RUNTIME, temp)) {
      assertThat(
              pipeline.model().prepare(sketched("one")).get(Parameters.ADAPTER_CONDITIONING_SCALE))
          .isEqualTo(new Numbers(1));
      Map<GenerationSpec, String> refused =
          Map.of(
              spec("no image").with(Parameters.ADAPTER_CONDITIONING_SCALE, new Numbers(1)),
              "The request has an adapterConditioningScale but no adapterImage.",
              sketched("both").with(Parameters.IMAGE, painted(1)),
              "The request has an image and an adapterImage; it may have one of both.",
              sketched("three").with(Parameters.ADAPTER_CONDITIONING_SCALE, new Numbers(1, 1, 1)),
              "adapterConditioningScale has 3 numbers; it must have one, or one for each"
                  + " T2I-Adapter of the model, 2.",
              sketched("odd").with(Parameters.WIDTH, 18L),
              "The image is to have 18 x 16 pixels; with an adapterImage, both sides must be"
                  + " multiples of 4.",
              sketched("gray").with(Parameters.ADAPTER_IMAGE_2, Raster.filled(1, 16, 16, 1)),
              "adapterImage2 has 1 channels; it must have 3.");
      requireRefused(pipeline, refused);
    }
  }
}
