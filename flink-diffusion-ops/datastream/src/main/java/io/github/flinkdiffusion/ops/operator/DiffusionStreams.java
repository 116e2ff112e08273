/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.TextEvent;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.jspecify.annotations.NullMarked;

/**
 * The outputs of a diffusion operator. Every request becomes exactly one image, or one text, or one
 * failure, so a job sends both on: one that drops the failures loses requests without a trace.
 */
@NullMarked
@PublicEvolving
public final class DiffusionStreams {
  private final SingleOutputStreamOperator<ImageEvent> images;
  private final DataStream<TextEvent> texts;
  private final DataStream<FailureEvent> failures;
  private final DataStream<ProgressEvent> progress;

  DiffusionStreams(
      SingleOutputStreamOperator<ImageEvent> images,
      DataStream<TextEvent> texts,
      DataStream<FailureEvent> failures,
      DataStream<ProgressEvent> progress) {
    this.images = images;
    this.texts = texts;
    this.failures = failures;
    this.progress = progress;
  }

  /**
   * Finished images, with the timestamps of their requests. None of {@link Diffusion#imageToText}.
   */
  public SingleOutputStreamOperator<ImageEvent> images() {
    return images;
  }

  /** Finished texts of {@link Diffusion#imageToText}, with the timestamps of their requests. */
  public DataStream<TextEvent> texts() {
    return texts;
  }

  /** Requests that cannot be processed, each with the reason and its original. */
  public DataStream<FailureEvent> failures() {
    return failures;
  }

  /**
   * Steps completed so far of each request in flight. Empty unless {@link
   * DiffusionOptions#PROGRESS_EVERY_STEPS} or {@link DiffusionOptions#PREVIEW_EVERY_STEPS} is set.
   * May repeat after a failure, also behind an exactly-once sink.
   */
  public DataStream<ProgressEvent> progress() {
    return progress;
  }
}
