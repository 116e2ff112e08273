/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.kafka.DiffusionSources;
import io.github.flinkdiffusion.connector.kafka.EventSourceBuilder;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import org.apache.flink.annotation.PublicEvolving;
import org.jspecify.annotations.NullMarked;

/** Builds the operator that generates images from prompts. */
@NullMarked
@PublicEvolving
public final class TextToImage extends DiffusionBuilder<PromptEvent, TextToImage> {

  TextToImage() {
    super(RequestKind.PROMPTS, "text to image");
  }

  /** {@link DiffusionOptions#DEFAULT_WIDTH} and {@link DiffusionOptions#DEFAULT_HEIGHT}. */
  public TextToImage setDefaultSize(int width, int height) {
    return setOption(DiffusionOptions.DEFAULT_WIDTH, width)
        .setOption(DiffusionOptions.DEFAULT_HEIGHT, height);
  }

  /** {@link DiffusionOptions#PREVIEW_EVERY_STEPS}. */
  public TextToImage setPreviewEverySteps(int steps) {
    return setOption(DiffusionOptions.PREVIEW_EVERY_STEPS, steps);
  }

  @Override
  EventSourceBuilder<PromptEvent> source() {
    return DiffusionSources.prompts();
  }
}
