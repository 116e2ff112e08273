/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.kafka.DiffusionSources;
import io.github.flinkdiffusion.connector.kafka.EventSourceBuilder;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.configuration.MemorySize;
import org.jspecify.annotations.NullMarked;

/**
 * Builds the operator that writes texts about images: captions, answers to the prompt's question,
 * labels. The model decides which. A token is a step, so a checkpoint holds a text as far as it is
 * written, and progress events count tokens.
 *
 * <pre>{@code
 * DiffusionStreams results =
 *     Diffusion.imageToText()
 *         .setModel("/models/blip-image-captioning-base")
 *         .uid("describe")
 *         .apply(images);
 * DataStream<TextEvent> captions = results.texts();
 * }</pre>
 */
@NullMarked
@PublicEvolving
public final class ImageToText extends DiffusionBuilder<ImageTaskEvent, ImageToText> {

  ImageToText() {
    super(RequestKind.TEXT_TASKS, "image to text");
  }

  /** {@link ImageTaskOptions#MAX_PIXELS}. */
  public ImageToText setMaxPixels(long pixels) {
    return setOption(ImageTaskOptions.MAX_PIXELS, pixels);
  }

  /** {@link ImageTaskOptions#MEMORY}. */
  public ImageToText setImageMemory(MemorySize size) {
    return setOption(ImageTaskOptions.MEMORY, size);
  }

  @Override
  EventSourceBuilder<ImageTaskEvent> source() {
    return DiffusionSources.imageTasks();
  }
}
