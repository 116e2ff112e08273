/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.Objects;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * A finished result: an image, or the text of a model whose {@link ResultMeaning} is {@link
 * ResultKind#TEXT}. A model that generates both together gives an image with a text.
 */
@Internal
public final class GeneratedImage {
  private final GenerationRequest request;
  private final Raster image;
  private final boolean promptTruncated;
  private final boolean flagged;
  private final GeneratedText text;

  /**
   * @param request what it was made from
   * @param image the picture, values 0..1
   * @param promptTruncated true when the prompt or the negative prompt was longer than the
   *     tokenizer's limit and its end was not used
   * @param flagged true when the model's safety checker found that the picture should not be shown;
   *     the image is black then
   */
  public GeneratedImage(
      GenerationRequest request, Raster image, boolean promptTruncated, boolean flagged) {
    this(request, Objects.requireNonNull(image, "image"), promptTruncated, flagged, null);
  }

  private GeneratedImage(
      GenerationRequest request,
      Raster image,
      boolean promptTruncated,
      boolean flagged,
      GeneratedText text) {
    this.request = Objects.requireNonNull(request, "request");
    this.image = image;
    this.promptTruncated = promptTruncated;
    this.flagged = flagged;
    this.text = text;
  }

  /** A text, which has no image. */
  public static GeneratedImage ofText(GenerationRequest request, GeneratedText text) {
    return new GeneratedImage(request, null, false, false, Objects.requireNonNull(text, "text"));
  }

  /** The same with a text that goes along with the image. */
  GeneratedImage with(GeneratedText also) {
    return new GeneratedImage(
        request, image, promptTruncated, flagged, Objects.requireNonNull(also, "also"));
  }

  /** What it was made from. */
  public GenerationRequest request() {
    return request;
  }

  /**
   * The picture, values 0..1.
   *
   * @throws IllegalStateException for a text
   */
  public Raster image() {
    if (image == null) {
      throw new IllegalStateException("The result of request " + request.id() + " is a text.");
    }
    return image;
  }

  /** The text, of a model that writes one, with an image or in place of it. */
  public Optional<GeneratedText> text() {
    return Optional.ofNullable(text);
  }

  /** Whether the end of a prompt was not used, see the constructor. */
  public boolean promptTruncated() {
    return promptTruncated;
  }

  /** Whether the image is black, because the safety checker found that it should not be shown. */
  public boolean flagged() {
    return flagged;
  }
}
