/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.batching.StepBatcher;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.Tiling;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ReadableConfig;

/**
 * The largest request that is accepted. One request shares its device, its heap and its checkpoints
 * with all others, so what it may take of them is the operator's to say, not the sender's.
 *
 * @param maxPixels width x height of one network call's image
 * @param maxSteps network calls of one image, or of one part of a larger image
 * @param maxPromptLength characters of each text
 * @param maxAttributes of attributes and parameters together
 * @param maxAttributesBytes their names and values in UTF-8
 * @param screen of prompts
 */
@Internal
public record RequestLimits(
    long maxPixels,
    int maxSteps,
    int maxPromptLength,
    int maxAttributes,
    long maxAttributesBytes,
    PromptScreen screen)
    implements Serializable {

  /**
   * @throws DiffusionException naming the option, its value and what would be accepted
   */
  public static RequestLimits of(ReadableConfig config) {
    long pixels = config.get(DiffusionOptions.REQUEST_MAX_PIXELS);
    if (pixels < 1) {
      throw DiffusionSettings.refused(
          DiffusionOptions.REQUEST_MAX_PIXELS, pixels, "a number from 1");
    }
    return new RequestLimits(
        pixels,
        DiffusionSettings.atLeast(1, DiffusionOptions.REQUEST_MAX_STEPS, config),
        DiffusionSettings.atLeast(0, DiffusionOptions.REQUEST_MAX_PROMPT_LENGTH, config),
        DiffusionSettings.atLeast(0, DiffusionOptions.REQUEST_MAX_ATTRIBUTES, config),
        config.get(DiffusionOptions.REQUEST_MAX_ATTRIBUTES_SIZE).getBytes(),
        PromptScreen.of(config));
  }

  /**
   * Looks at what a request's event holds besides its fields, before anything is made of it.
   *
   * @throws InvalidRequestException naming the option, the value and the limit
   */
  public void check(Map<String, String> attributes, Map<String, String> parameters) {
    int count = attributes.size() + parameters.size();
    if (count > maxAttributes) {
      throw new InvalidRequestException(
          "The request has %d attributes and parameters; at most %d are accepted (%s)."
              .formatted(count, maxAttributes, DiffusionOptions.REQUEST_MAX_ATTRIBUTES.key()));
    }
    long bytes = bytes(attributes) + bytes(parameters);
    if (bytes > maxAttributesBytes) {
      throw new InvalidRequestException(
          "The request's attributes and parameters have %d bytes; at most %d are accepted (%s)."
              .formatted(
                  bytes, maxAttributesBytes, DiffusionOptions.REQUEST_MAX_ATTRIBUTES_SIZE.key()));
    }
  }

  private long bytes(Map<String, String> texts) {
    return texts.entrySet().stream()
        .mapToLong(text -> bytes(text.getKey()) + bytes(text.getValue()))
        .sum();
  }

  /** Of a text that is too long in any case, without a copy of it: its characters. */
  private long bytes(String text) {
    return text.length() > maxAttributesBytes
        ? text.length()
        : text.getBytes(StandardCharsets.UTF_8).length;
  }

  /**
   * What the model makes of a request that is within the limits, and whose texts are not too close
   * to a concept. Cheap, but for texts that are new, if there are concepts.
   *
   * @throws InvalidRequestException naming the option, the value and the limit, or by what the
   *     pipeline refuses
   */
  public GenerationRequest prepare(StepBatcher batcher, GenerationSpec spec) {
    GenerationRequest request = prepare(batcher.model(), spec);
    screen.compare(spec.arguments()); // last, because it may take a network call
    return request;
  }

  /**
   * As {@link #prepare(StepBatcher, GenerationSpec)}, of a model that may not be loaded, and
   * without a look at concepts, which takes a network.
   */
  public GenerationRequest prepare(Model model, GenerationSpec spec) {
    check(spec.arguments()); // before a plan of so many steps is made
    GenerationRequest request = model.prepare(spec);
    checkSteps(model.calls(request));
    checkPixels(model, request);
    return request;
  }

  /**
   * What can be said of a request without a model.
   *
   * @throws InvalidRequestException naming the option, the value and the limit
   */
  public void check(Arguments asked) {
    checkTexts(asked);
    screen.check(asked);
    Long steps = asked.get(Parameters.STEPS);
    if (steps != null) {
      checkSteps(steps);
    }
  }

  private void checkTexts(Arguments arguments) {
    for (Parameter<?> parameter : arguments.parameters()) {
      if (arguments.get(parameter) instanceof String text && text.length() > maxPromptLength) {
        throw new InvalidRequestException(
            "%s has %d characters; at most %d are accepted (%s)."
                .formatted(
                    parameter,
                    text.length(),
                    maxPromptLength,
                    DiffusionOptions.REQUEST_MAX_PROMPT_LENGTH.key()));
      }
    }
  }

  private void checkSteps(long steps) {
    if (steps > maxSteps) {
      throw new InvalidRequestException(
          "The request takes %d network steps; at most %d are accepted (%s)."
              .formatted(steps, maxSteps, DiffusionOptions.REQUEST_MAX_STEPS.key()));
    }
  }

  /** Where the request does not say how large its image will be, the image that it brings does. */
  private void checkPixels(Model model, GenerationRequest request) {
    long width;
    long height;
    Raster image = request.get(Parameters.IMAGE);
    if (request.arguments().has(Parameters.WIDTH) && request.arguments().has(Parameters.HEIGHT)) {
      width = request.width();
      height = request.height();
    } else if (image != null) {
      int scale = model.tiling().map(Tiling::scale).orElse(1);
      width = (long) image.width() * scale;
      height = (long) image.height() * scale;
    } else {
      return; // the model's own size
    }
    if (request.arguments().has(Parameters.PROCESSING_RESOLUTION)) {
      checkWorkedOn(model.encodedPixels(request), request);
    }
    if (!allows(width * height)) {
      throw new InvalidRequestException(
          "The image is to be generated with %d x %d = %d pixels; at most %d are accepted (%s). Ask for a smaller image, or raise the option if the device has the memory and the time."
              .formatted(
                  width,
                  height,
                  width * height,
                  maxPixels,
                  DiffusionOptions.REQUEST_MAX_PIXELS.key()));
    }
  }

  /** Of a network that works at another size than that of its result. */
  private void checkWorkedOn(long pixels, GenerationRequest request) {
    if (!allows(pixels)) {
      throw new InvalidRequestException(
          "With a processingResolution of %d the network works on %d pixels; at most %d are accepted (%s). Ask for a smaller one, or raise the option if the device has the memory and the time."
              .formatted(
                  request.get(Parameters.PROCESSING_RESOLUTION),
                  pixels,
                  maxPixels,
                  DiffusionOptions.REQUEST_MAX_PIXELS.key()));
    }
  }

  /** Whether one network call may have an image of so many pixels. */
  public boolean allows(long pixels) {
    return pixels <= maxPixels;
  }
}
