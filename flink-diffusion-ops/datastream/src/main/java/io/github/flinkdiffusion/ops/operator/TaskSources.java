/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.payload.PayloadChannel;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.batching.StepBatcher;
import io.github.flinkdiffusion.ops.image.DecodedSize;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.ImageLimits;
import io.github.flinkdiffusion.ops.imaging.Composition;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.Tiling;
import io.github.flinkdiffusion.ops.serving.DecodingMemory;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ImageSettings;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import java.nio.file.Path;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * The request's images as files, whose headers alone have been looked at.
 *
 * @param image what is worked on
 * @param others besides it and its mask
 * @param bytes heap that the task takes from its opening until its end, see {@link
 *     ImageTaskOptions#MAX_DECODED_SIZE}
 */
record TaskSources(TaskImage image, Optional<TaskImage> mask, NamedImages others, long bytes)
    implements AutoCloseable {

  /** The same with more heap, for what is read beside the images. */
  TaskSources beside(long more) {
    return new TaskSources(image, mask, others, bytes + more);
  }

  @Override
  public void close() {
    image.close();
    mask.ifPresent(TaskImage::close);
    others.close();
  }

  /**
   * Fetches the request's images and looks at what they are, without decoding them. Waits for
   * files.
   *
   * @param most heap that a task may take, see {@link DecodingMemory}
   * @throws InvalidRequestException for a request that cannot be done, and for one that takes more
   * @throws ImageException for an image that cannot be read
   */
  static TaskSources fetch(
      ImageTaskEvent event,
      DiffusionSettings settings,
      StepBatcher batcher,
      PayloadStore payloads,
      Path scratch,
      long most) {
    Events.checkId(event.getId());
    settings.limits().check(event.getAttributes(), event.getParameters());
    Arguments wanted = Events.asked(event);
    ImageSettings how = settings.image();
    TaskImage image = TaskImage.fetch(event, how, payloads, scratch);
    Optional<TaskImage> mask = Optional.empty();
    NamedImages others = NamedImages.NONE;
    try {
      DecodedSize size = image.size(how);
      String extents = size.extent();
      double reading = size.peakBytes();
      double open = size.rasterBytes();
      if (image.slices() > 1) {
        // The first slice is there as long as the task, beside the one that is worked on.
        reading += size.rasterBytes();
        open += size.rasterBytes();
      }
      if (event.getMask() != null) {
        requireOneSlice(image, "a mask", "a mask is");
        mask =
            Optional.of(
                TaskImage.fetch(OpenImageTask.MASK, event.getMask(), how, payloads, scratch));
        DecodedSize ofMask = mask.get().size(how);
        extents += ", mask " + ofMask.extent();
        reading += ofMask.peakBytes();
        open += ofMask.rasterBytes();
        reading += readWhole(wanted, ofMask);
      }
      if (!event.getImages().isEmpty()) {
        requireOneSlice(image, "further images", "these are");
        others = NamedImages.fetch(event.getImages(), how, batcher.model(), payloads, scratch);
        extents += ", " + others.extents();
        reading += others.bytes();
        open += others.bytes();
      }
      reading += readWhole(wanted, size);
      double resized = resizedPixels(wanted, size);
      // The new images, and the pass between.
      reading += 2 * resized * Float.BYTES * (mask.isPresent() ? 4 : 3);
      open += resized * Float.BYTES * (mask.isPresent() ? 4 : 3);
      int scale = batcher.model().tiling().map(Tiling::scale).orElse(1);
      double result =
          Math.max(resized, size.pixels()) * scale * scale * batcher.model().imageChannels();
      long bytes = (long) Math.max(reading, open + Composition.heapBytes((long) result));
      requireFits(
          bytes,
          extents,
          how,
          most,
          resizes(wanted)
              ? "leave out width and height"
              : "a TIFF file in tiles, which is read by parts");
      return new TaskSources(image, mask, others, bytes);
    } catch (RuntimeException | Error e) {
      image.close();
      mask.ifPresent(TaskImage::close);
      others.close();
      throw e;
    }
  }

  /**
   * @param bytes of heap that a request's images take
   * @param extents of the images, for people
   * @param most heap that a request may take, see {@link DecodingMemory}
   * @param advice what else takes less heap than a smaller image
   * @throws InvalidRequestException when they take more than is accepted
   */
  static void requireFits(long bytes, String extents, ImageSettings how, long most, String advice) {
    boolean configured = how.maxDecodedBytes() != null && how.maxDecodedBytes() < most;
    long limit = configured ? how.maxDecodedBytes() : most;
    if (bytes > limit) {
      throw new InvalidRequestException(
          "Reading the request's images (%s) takes %d bytes of heap; at most %d are accepted (%s). Send a smaller image, or %s%s."
              .formatted(
                  extents,
                  bytes,
                  limit,
                  configured
                      ? ImageTaskOptions.MAX_DECODED_SIZE.key()
                      : "half of the heap, see " + ImageTaskOptions.MAX_DECODED_SIZE.key(),
                  advice,
                  configured
                      ? ", or raise the option"
                      : ", or raise taskmanager.memory.task.heap.size"));
    }
  }

  private static void requireOneSlice(TaskImage image, String what, String theyAre) {
    if (image.slices() > 1) {
      throw new InvalidRequestException(
          "The request has %s and %d slices; %s for one. Send a request for each slice."
              .formatted(what, image.slices(), theyAre));
    }
  }

  /** Of images that are brought to another size first; 0 if they are not. */
  private static double resizedPixels(Arguments wanted, DecodedSize size) {
    return resizes(wanted)
        ? side(wanted.get(Parameters.WIDTH), size.width(), size)
            * side(wanted.get(Parameters.HEIGHT), size.height(), size)
        : 0;
  }

  private static boolean resizes(Arguments wanted) {
    return wanted.has(Parameters.WIDTH) || wanted.has(Parameters.HEIGHT);
  }

  /** A side that is left open stays; of a file that does not tell it, as long as it may be. */
  private static double side(Long wanted, long own, DecodedSize size) {
    if (wanted != null) {
      return Math.max(0, wanted);
    }
    return own > 0 ? own : Math.min(size.pixels(), ImageLimits.DEFAULT.maxSide());
  }

  /**
   * What an image that is read by parts takes when it is brought to another size, for which it is
   * read as a whole; one that would be too large for that is refused when it is open.
   */
  private static double readWhole(Arguments wanted, DecodedSize size) {
    return resizes(wanted)
        ? Math.max(
            0, Math.min(size.wholeBytes(), ImageLimits.DEFAULT.maxBytes()) - size.rasterBytes())
        : 0;
  }

  /** Files that are read where they lie. */
  Stream<PayloadChannel> channels() {
    return Stream.concat(
        image.channel().stream(), mask.stream().flatMap(file -> file.channel().stream()));
  }
}
