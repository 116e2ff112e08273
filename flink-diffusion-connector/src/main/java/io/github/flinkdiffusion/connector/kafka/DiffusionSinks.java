/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.ModelEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.TextEvent;
import io.github.flinkdiffusion.connector.kafka.internal.EventSerializer;
import io.github.flinkdiffusion.connector.kafka.internal.FailureSerializer;
import io.github.flinkdiffusion.connector.kafka.internal.ImageSerializer;
import io.github.flinkdiffusion.connector.kafka.internal.Keys;
import io.github.flinkdiffusion.connector.kafka.internal.ShorteningSerializer;
import io.github.flinkdiffusion.connector.kafka.internal.TextSerializer;
import io.github.flinkdiffusion.connector.kafka.internal.TooLarge;
import org.apache.flink.annotation.PublicEvolving;
import org.jspecify.annotations.NullMarked;

/**
 * Where a job's events go. The key of a result's or a failure's record is that of the request's, or
 * the request's id, so all that is said about one request is in one partition, in order; see {@link
 * KafkaOptions#RECORD_KEY}. The chosen headers of the request's record go with it.
 */
@NullMarked
@PublicEvolving
public final class DiffusionSinks {
  private DiffusionSinks() {}

  /**
   * Finished images, exactly once unless {@link KafkaOptions#DELIVERY} says otherwise. An image
   * that is too large for Kafka becomes a failure; see {@link EventSinkBuilder#setFailuresTopic}.
   */
  public static EventSinkBuilder<ImageEvent> images() {
    return new EventSinkBuilder<>(
        ImageEvent.class,
        "images",
        false,
        image -> Keys.utf8(image.getId()),
        (maxRecordBytes, format, topic) -> new ImageSerializer(format, topic),
        TooLarge::image);
  }

  /** Finished texts, as images are. */
  public static EventSinkBuilder<TextEvent> texts() {
    return new EventSinkBuilder<>(
        TextEvent.class,
        "texts",
        false,
        text -> Keys.utf8(text.getId()),
        (maxRecordBytes, format, topic) -> new TextSerializer(format, topic),
        TooLarge::text);
  }

  /**
   * Records that could not be done, as results are. A failure that would be too large for Kafka,
   * since it holds the record that it is about, is written without its original and says so.
   */
  public static EventSinkBuilder<FailureEvent> failures() {
    return new EventSinkBuilder<>(
        FailureEvent.class,
        "failures",
        false,
        FailureSerializer::key,
        FailureSerializer::new,
        null);
  }

  /** Requests that a job makes for another job, as results are. */
  public static EventSinkBuilder<PromptEvent> prompts() {
    return new EventSinkBuilder<>(
        PromptEvent.class,
        "prompts",
        false,
        prompt -> Keys.utf8(prompt.getId()),
        (maxRecordBytes, format, topic) -> new EventSerializer<>(PromptEvent.class, format, topic),
        TooLarge::prompt);
  }

  /** Requests to generate images from other images, written as results are. */
  public static EventSinkBuilder<ImageTaskEvent> imageTasks() {
    return new EventSinkBuilder<>(
        ImageTaskEvent.class,
        "image-tasks",
        false,
        task -> Keys.utf8(task.getId()),
        (maxRecordBytes, format, topic) ->
            new EventSerializer<>(ImageTaskEvent.class, format, topic),
        TooLarge::imageTask);
  }

  /** Requests that a job takes back, as results are. */
  public static EventSinkBuilder<CancelEvent> cancellations() {
    return new EventSinkBuilder<>(
        CancelEvent.class,
        "cancellations",
        false,
        DiffusionSinks::cancelKey,
        (maxRecordBytes, format, topic) ->
            new ShorteningSerializer<>(
                CancelEvent.class,
                DiffusionSinks::cancelKey,
                TooLarge::shortened,
                maxRecordBytes,
                format,
                topic),
        null);
  }

  /** Versions of models that a job publishes, keyed by the model's name, as results are. */
  public static EventSinkBuilder<ModelEvent> models() {
    return new EventSinkBuilder<>(
        ModelEvent.class,
        "models",
        false,
        event -> Keys.utf8(TooLarge.shortened(event.getModel())),
        (maxRecordBytes, format, topic) -> new EventSerializer<>(ModelEvent.class, format, topic),
        TooLarge::model);
  }

  /**
   * Progress, at least once: visible at once instead of with the next checkpoint, and repeated
   * after a failure. A preview that is too large for Kafka is left out.
   */
  public static EventSinkBuilder<ProgressEvent> progress() {
    return new EventSinkBuilder<>(
        ProgressEvent.class,
        "progress",
        true,
        DiffusionSinks::progressKey,
        (maxRecordBytes, format, topic) ->
            new ShorteningSerializer<>(
                ProgressEvent.class,
                DiffusionSinks::progressKey,
                TooLarge::shortened,
                maxRecordBytes,
                format,
                topic),
        null);
  }

  private static byte[] cancelKey(CancelEvent cancel) {
    return Keys.utf8(TooLarge.shortened(cancel.getId()));
  }

  private static byte[] progressKey(ProgressEvent progress) {
    return Keys.utf8(TooLarge.shortened(progress.getId()));
  }
}
