/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import org.apache.flink.annotation.PublicEvolving;

/** Builds the operator that makes pictures from prompts. */
@PublicEvolving
public final class TextToImage extends DiffusionBuilder<PromptEvent, TextToImage> {

  TextToImage() {
    super(RequestKind.PROMPTS, "text to image");
  }

  /** {@link DiffusionOptions#DEFAULT_WIDTH} and {@link DiffusionOptions#DEFAULT_HEIGHT}. */
  public TextToImage defaultSize(int width, int height) {
    return option(DiffusionOptions.DEFAULT_WIDTH, width)
        .option(DiffusionOptions.DEFAULT_HEIGHT, height);
  }

  /** {@link DiffusionOptions#PREVIEW_EVERY_STEPS}. */
  public TextToImage previewEverySteps(int steps) {
    return option(DiffusionOptions.PREVIEW_EVERY_STEPS, steps);
  }
}
