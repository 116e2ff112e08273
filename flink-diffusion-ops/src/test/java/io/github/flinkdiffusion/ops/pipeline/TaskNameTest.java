/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.Raster;
import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What audit records say that was done. */
class TaskNameTest {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models");
  private static final Raster IMAGE = Raster.filled(3, 8, 8, 0.5f);

  @ParameterizedTest
  @CsvSource({
    "tiny-sd1, prompt, text-to-image",
    "tiny-sd1, prompt image, image-to-image",
    "tiny-sd1, prompt image mask, inpainting",
    "tiny-sdxl, prompt, text-to-image",
    "tiny-instruct-pix2pix, prompt image, image-editing",
    "tiny-instruct-pix2pix, prompt image result=mask, segmentation",
    "tiny-instruct-pix2pix, prompt image result=boxes, detection",
    "tiny-image-variation, image, image-variation",
    "tiny-ldm-super-resolution, image, super-resolution",
    "tiny-latent-upscaler, image, super-resolution",
    "tiny-gligen, prompt, text-to-image",
    "tiny-x4-upscaler, prompt image, super-resolution",
    "tiny-concat-upscale, image, super-resolution",
    "tiny-latent-upscaler, prompt image, super-resolution",
    "tiny-concat-segmentation, image, segmentation",
    "tiny-marigold-depth, image, depth",
    "tiny-marigold-normals, image, normals",
    "tiny-repaint, image mask, inpainting",
    "tiny-dit, class, class-to-image",
    "tiny-ddpm, '', unconditional",
    "tiny-ldm, '', unconditional",
    "tiny-z-image, prompt, text-to-image",
    "tiny-z-image, prompt image, image-to-image",
    "tiny-qwen-image, prompt image mask, inpainting",
    "tiny-sana, prompt, text-to-image",
    "tiny-lumina-2, prompt, text-to-image",
    "tiny-unidiffuser, '', joint-generation",
    "tiny-unidiffuser, prompt, text-to-image",
    "tiny-unidiffuser, image, image-captioning"
  })
  void theTaskFollowsFromThePipelineAndItsInputs(String folder, String inputs, String task) {
    Arguments request = Arguments.NONE;
    for (String input : inputs.split(" ")) {
      request =
          switch (input) {
            case "prompt" -> request.with(Parameters.PROMPT, "a cat");
            case "image" -> request.with(Parameters.IMAGE, IMAGE);
            case "mask" -> request.with(Parameters.MASK, IMAGE);
            case "class" -> request.with(Parameters.CLASS_LABEL, 3L);
            case "result=mask" -> request.with(Parameters.RESULT, "mask");
            case "result=boxes" -> request.with(Parameters.RESULT, "boxes");
            default -> request;
          };
    }
    try (DiffusionPipeline pipeline =
        Pipelines.open(MODELS.resolve(folder), PipelineSettings.on(DeviceSpec.CPU))) {
      assertThat(pipeline.model().taskName(request)).isEqualTo(task);
    }
  }
}
