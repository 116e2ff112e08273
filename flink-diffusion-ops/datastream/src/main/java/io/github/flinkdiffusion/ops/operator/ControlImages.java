/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.ops.image.ClassColors;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import java.util.ArrayList;
import java.util.List;
import org.apache.avro.specific.SpecificRecordBase;
import org.apache.flink.annotation.Experimental;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.jspecify.annotations.NullMarked;

/**
 * Builds the operator that makes control images of images that requests bring: edges, another size,
 * classes in colors. What a request has under a name in {@code images} is replaced by what is made
 * of it; an image task without that name has it made of its {@code image}.
 *
 * <pre>{@code
 * RequestStreams<PromptEvent> controlled =
 *     Diffusion.controlImages().addFit("controlImage", 512, 512).addEdges("controlImage", 100, 200)
 *         .applyToPrompts(prompts);
 * DiffusionStreams results = Diffusion.textToImage().setModel(folder).apply(controlled.requests());
 * }</pre>
 *
 * <p>What is added is done in this order. A prompt without an image of that name stays as it is.
 */
@NullMarked
@Experimental
public final class ControlImages {
  private static final int MOST_PIXELS_A_SIDE = 8192;

  private final ImageWork work = new ImageWork("control images");
  private final List<ControlImageStep> steps = new ArrayList<>();

  ControlImages() {}

  /**
   * Adds edges, white on black, as OpenCV's Canny finds them.
   *
   * @param name of the parameter that the image is, such as {@code controlImage}
   * @param low gradient above which a pixel is on an edge if it is connected to one that is; 100 is
   *     usual
   * @param high gradient above which a pixel is on an edge in any case; 200 is usual
   * @throws DiffusionException for a name that is no image
   */
  public ControlImages addEdges(String name, double low, double high) {
    if (!Double.isFinite(low) || !Double.isFinite(high)) {
      throw new DiffusionException(
          "Edges above %s and %s; finite numbers are expected".formatted(low, high));
    }
    return add(new ControlImageStep.Edges(image(name), low, high));
  }

  /**
   * Adds another size, which the image fills: it is cut at two sides if it has another shape.
   *
   * @param name of the parameter that the image is
   * @param width pixels of a row, from 1 to 8192
   * @param height rows, from 1 to 8192
   * @throws DiffusionException for a name that is no image, or a size out of range
   */
  public ControlImages addFit(String name, int width, int height) {
    if (Math.min(width, height) < 1 || Math.max(width, height) > MOST_PIXELS_A_SIDE) {
      throw new DiffusionException(
          "A size of %d x %d pixels; expected 1 to %d each"
              .formatted(width, height, MOST_PIXELS_A_SIDE));
    }
    return add(new ControlImageStep.Fit(image(name), width, height));
  }

  /**
   * Adds colors for numbers of classes.
   *
   * @param name of the parameter that the image is
   * @param colors six hexadecimal digits for each class from 0, separated by blanks or commas
   * @throws DiffusionException for a name that is no image, or a text that is no color
   */
  public ControlImages addClassColors(String name, String colors) {
    try {
      ClassColors.parse(colors);
    } catch (ImageException e) {
      throw new DiffusionException(e.getMessage(), e);
    }
    return add(new ControlImageStep.Colors(image(name), colors));
  }

  private ControlImages add(ControlImageStep step) {
    steps.add(step);
    return this;
  }

  private static String image(String name) {
    List<String> names = NamedImages.all().stream().map(Parameter::name).toList();
    if (!names.contains(name)) {
      throw new DiffusionException(
          "A control image '%s'; expected one of %s".formatted(name, String.join(", ", names)));
    }
    return name;
  }

  /**
   * Sets any of {@link PayloadOptions}, for images that are not in their events.
   *
   * @param <T> type of the value
   */
  public <T> ControlImages setOption(ConfigOption<T> option, T value) {
    work.setOption(option, value);
    return this;
  }

  /** The operator's identity in savepoints; it has no state. */
  public ControlImages uid(String operatorUid) {
    work.uid(operatorUid);
    return this;
  }

  /**
   * Adds the operator to the job.
   *
   * @throws DiffusionException if there is nothing to do
   */
  public RequestStreams<ImageTaskEvent> apply(DataStream<ImageTaskEvent> requests) {
    return applied(requests, ImageTaskEvent.class);
  }

  /**
   * The same for prompts.
   *
   * @throws DiffusionException if there is nothing to do
   */
  public RequestStreams<PromptEvent> applyToPrompts(DataStream<PromptEvent> requests) {
    return applied(requests, PromptEvent.class);
  }

  private <E extends SpecificRecordBase> RequestStreams<E> applied(
      DataStream<E> requests, Class<E> kind) {
    if (steps.isEmpty()) {
      throw new DiffusionException(
          "Control images without a step; expected one, at least (addEdges, addFit,"
              + " addClassColors)");
    }
    return work.ofRequests(
        requests, kind, payloads -> new ControlImageFunction<>(List.copyOf(steps), payloads));
  }
}
