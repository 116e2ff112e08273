package io.github.flinkdiffusion.connector.kafka;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.kafka.internal.EventSerializer;
import io.github.flinkdiffusion.connector.kafka.internal.FailureSerializer;
import io.github.flinkdiffusion.connector.kafka.internal.ImageSerializer;
import io.github.flinkdiffusion.connector.kafka.internal.Keys;
import io.github.flinkdiffusion.connector.kafka.internal.ShorteningSerializer;
import io.github.flinkdiffusion.connector.kafka.internal.TooLarge;
import org.apache.flink.connector.base.DeliveryGuarantee;

/**
 * Where a job's events go. The key of every record is the event's id, so all that is said about one
 * request is in one partition, in order.
 */
public final class DiffusionSinks {
  private DiffusionSinks() {}

  /**
   * Finished pictures, exactly once. One that is too large for Kafka becomes a failure; see {@link
   * EventSinkBuilder#failuresTopic}.
   */
  public static EventSinkBuilder<ImageEvent> images() {
    return new EventSinkBuilder<>(
        "images",
        DeliveryGuarantee.EXACTLY_ONCE,
        image -> Keys.utf8(image.getId()),
        maxRecordBytes -> new ImageSerializer(),
        TooLarge::image);
  }

  /**
   * Records that could not be done, exactly once. A failure that would be too large for Kafka,
   * since it holds the record that it is about, is written without its original and says so.
   */
  public static EventSinkBuilder<FailureEvent> failures() {
    return new EventSinkBuilder<>(
        "failures",
        DeliveryGuarantee.EXACTLY_ONCE,
        FailureSerializer::key,
        FailureSerializer::new,
        null);
  }

  /** Requests that a job makes for another job, exactly once. */
  public static EventSinkBuilder<PromptEvent> prompts() {
    return new EventSinkBuilder<>(
        "prompts",
        DeliveryGuarantee.EXACTLY_ONCE,
        prompt -> Keys.utf8(prompt.getId()),
        maxRecordBytes -> new EventSerializer<>(PromptEvent.class),
        TooLarge::prompt);
  }

  /** Requests for pictures made from other pictures, exactly once. */
  public static EventSinkBuilder<ImageTaskEvent> imageTasks() {
    return new EventSinkBuilder<>(
        "image-tasks",
        DeliveryGuarantee.EXACTLY_ONCE,
        task -> Keys.utf8(task.getId()),
        maxRecordBytes -> new EventSerializer<>(ImageTaskEvent.class),
        TooLarge::imageTask);
  }

  /** Requests that a job takes back, exactly once. */
  public static EventSinkBuilder<CancelEvent> cancellations() {
    return new EventSinkBuilder<>(
        "cancellations",
        DeliveryGuarantee.EXACTLY_ONCE,
        DiffusionSinks::cancelKey,
        maxRecordBytes ->
            new ShorteningSerializer<>(
                CancelEvent.class, DiffusionSinks::cancelKey, TooLarge::shortened, maxRecordBytes),
        null);
  }

  /**
   * Progress, at least once: visible at once instead of with the next checkpoint, and repeated
   * after a failure. A preview that is too large for Kafka is left out.
   */
  public static EventSinkBuilder<ProgressEvent> progress() {
    return new EventSinkBuilder<>(
        "progress",
        DeliveryGuarantee.AT_LEAST_ONCE,
        DiffusionSinks::progressKey,
        maxRecordBytes ->
            new ShorteningSerializer<>(
                ProgressEvent.class,
                DiffusionSinks::progressKey,
                TooLarge::shortened,
                maxRecordBytes),
        null);
  }

  private static byte[] cancelKey(CancelEvent cancel) {
    return Keys.utf8(TooLarge.shortened(cancel.getId()));
  }

  private static byte[] progressKey(ProgressEvent progress) {
    return Keys.utf8(TooLarge.shortened(progress.getId()));
  }
}
