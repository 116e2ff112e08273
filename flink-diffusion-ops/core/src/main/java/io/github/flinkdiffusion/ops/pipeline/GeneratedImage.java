/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.Objects;
import org.apache.flink.annotation.Internal;

/**
 * A finished picture.
 *
 * @param request what it was made from
 * @param image the picture, values 0..1
 * @param promptTruncated true when the prompt or the negative prompt was longer than the
 *     tokenizer's limit and its end was not used
 * @param flagged true when the model's safety checker found that the picture should not be shown;
 *     the image is black then
 */
@Internal
public record GeneratedImage(
    GenerationRequest request, Raster image, boolean promptTruncated, boolean flagged) {
  public GeneratedImage {
    Objects.requireNonNull(request, "request");
    Objects.requireNonNull(image, "image");
  }
}
