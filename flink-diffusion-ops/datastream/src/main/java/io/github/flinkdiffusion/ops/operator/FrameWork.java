/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadException;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.image.DecodedSize;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.ImageLimits;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.imaging.FrameSimilarity;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Seeds;
import io.github.flinkdiffusion.ops.serving.LiveOptions;
import io.github.flinkdiffusion.ops.serving.LiveSettings;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What is done with a frame of a stream before it is generated, and known of the one before it. Its
 * methods are called one after the other, by the subtask's pool.
 */
final class FrameWork {
  /** In a repeated result's record: the frame that it was generated for. */
  static final String REPEATS = "repeatsFrame";

  /** A larger file is not compared with another one. */
  private static final long LARGEST_FILE = 32 << 20;

  private static final Logger LOG = LoggerFactory.getLogger(FrameWork.class);

  private final LiveSettings live;
  private final FrameId id;
  private final ImageTaskEvent task;

  /** Null for the first one. */
  private final PreviousFrame previous;

  private byte[] frameFile;
  private byte[] previousFrameFile;
  private byte[] previousResultFile;
  private volatile boolean repeated;

  FrameWork(LiveSettings live, FrameId id, ImageTaskEvent task, PreviousFrame previous) {
    this.live = live;
    this.id = id;
    this.task = task;
    this.previous = previous;
  }

  /** The request as the model sees it: with the stream's seed, unless it names one. */
  ImageTaskEvent run() {
    Long seed = task.getSeed();
    if (seed == null) {
      seed = previous == null ? Seeds.fromId(id.stream()) : previous.result().getSeed();
    }
    return ImageTaskEvent.newBuilder(task)
        .setSeed(seed)
        .setParameters(FrameId.withoutStream(task.getParameters()))
        .build();
  }

  /**
   * Fetches what is looked back at. Waits for files.
   *
   * @return heap that looking at it takes
   * @throws PayloadException when the previous result is to be mixed in and cannot be read
   */
  long fetch(PayloadStore payloads) {
    frameFile = null;
    previousFrameFile = null;
    previousResultFile = null;
    if (previous == null || !previous.hasImages()) {
      return 0;
    }
    long bytes = 0;
    if (mayRepeat()) {
      frameFile = payloads.read(task.getImage());
      try {
        previousFrameFile = payloads.read(previous.image());
        bytes += peakBytes(frameFile) + peakBytes(previousFrameFile);
      } catch (PayloadException e) {
        if (e.mayPass()) {
          throw e;
        }
        LOG.info(
            "Frame {} of stream {} is generated, because frame {} cannot be compared with it: {}",
            id.number(),
            id.stream(),
            previous.number(),
            e.getMessage());
      }
    }
    if (live.blend() > 0) {
      if (!isSmall(result())) {
        throw new InvalidRequestException(
            "A frame of a stream cannot be mixed with the previous result (%s): its file is larger than %d bytes."
                .formatted(LiveOptions.BLEND.key(), LARGEST_FILE));
      }
      previousResultFile = payloads.read(result());
      bytes += peakBytes(previousResultFile);
    }
    return bytes;
  }

  private Payload result() {
    return Payloads.image(previous.result());
  }

  private boolean mayRepeat() {
    return live.filter().isPresent()
        && previous.repeated() < live.maxRepeats()
        && previous.asksForTheSame(task)
        && task.getMask() == null
        && isSmall(task.getImage())
        && isSmall(previous.image());
  }

  private static boolean isSmall(Payload payload) {
    return Payloads.reference(payload).map(file -> file.getLength() <= LARGEST_FILE).orElse(true);
  }

  private static long peakBytes(byte[] file) {
    byte[] head = Arrays.copyOf(file, Math.min(file.length, DecodedSize.HEAD_BYTES));
    return DecodedSize.of(head, file.length, ImageLimits.DEFAULT).peakBytes();
  }

  /**
   * The previous result, if it answers this frame, too. Decodes images.
   *
   * @throws ImageException when the frame cannot be read
   */
  Optional<ImageEvent> answer() {
    if (previousFrameFile == null) {
      return Optional.empty();
    }
    FrameSimilarity filter = live.filter().orElseThrow();
    // Equal files need no decoding, whatever their pixels are.
    double cosine =
        Arrays.equals(frameFile, previousFrameFile)
            ? 1
            : FrameSimilarity.cosine(read(frameFile), read(previousFrameFile));
    frameFile = null;
    previousFrameFile = null;
    if (!filter.repeats(cosine, previous.repeated(), draw())) {
      return Optional.empty();
    }
    repeated = true;
    return Optional.of(previous.asAnswerTo(task));
  }

  private static Raster read(byte[] file) {
    return Images.read(file, ReadOptions.DEFAULT);
  }

  /** The same in every attempt, so that a replay answers the same frames. */
  private double draw() {
    byte[] name = (id.stream() + '\n' + id.number()).getBytes(StandardCharsets.UTF_8);
    long bits = ByteBuffer.wrap(Payloads.sha256().digest(name)).getLong() >>> 11;
    return bits * 0x1.0p-53;
  }

  /** What the frame is mixed with. Decodes an image. */
  Optional<FrameBlend> blend() {
    if (previousResultFile == null) {
      return Optional.empty();
    }
    Raster image = read(previousResultFile);
    previousResultFile = null;
    return Optional.of(new FrameBlend(image, previous.result().getDigest(), live.blend()));
  }

  /** What the stream's next frame looks back at, after this one's result; any thread. */
  PreviousFrame next(ImageEvent result) {
    if (repeated) {
      return previous.repeatedOnceMore();
    }
    PreviousFrame next = PreviousFrame.of(task, result, id.number());
    return live.looksBack() ? next : next.withoutImages();
  }

  boolean isRepeated() {
    return repeated;
  }
}
