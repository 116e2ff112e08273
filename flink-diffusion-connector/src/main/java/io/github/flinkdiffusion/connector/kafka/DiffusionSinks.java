package io.github.flinkdiffusion.connector.kafka;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.kafka.internal.EventSerializer;
import io.github.flinkdiffusion.connector.kafka.internal.FailureSerializer;
import io.github.flinkdiffusion.connector.kafka.internal.Keys;
import org.apache.flink.connector.base.DeliveryGuarantee;

/**
 * Where a job's events go. The key of every record is the event's id, so all that is said about one
 * request is in one partition, in order.
 */
public final class DiffusionSinks {
  private DiffusionSinks() {}

  /** Finished pictures, exactly once. */
  public static EventSinkBuilder<ImageEvent> images() {
    return new EventSinkBuilder<>(
        "images",
        DeliveryGuarantee.EXACTLY_ONCE,
        image -> Keys.utf8(image.getId()),
        maxRecordBytes -> new EventSerializer<>(ImageEvent.class));
  }

  /**
   * Records that could not be done, exactly once. A failure that would be too large for Kafka,
   * since it holds the record that it is about, is written without its original and says so.
   */
  public static EventSinkBuilder<FailureEvent> failures() {
    return new EventSinkBuilder<>(
        "failures", DeliveryGuarantee.EXACTLY_ONCE, FailureSerializer::key, FailureSerializer::new);
  }

  /** Requests that a job makes for another job, exactly once. */
  public static EventSinkBuilder<PromptEvent> prompts() {
    return new EventSinkBuilder<>(
        "prompts",
        DeliveryGuarantee.EXACTLY_ONCE,
        prompt -> Keys.utf8(prompt.getId()),
        maxRecordBytes -> new EventSerializer<>(PromptEvent.class));
  }

  /** Requests for pictures made from other pictures, exactly once. */
  public static EventSinkBuilder<ImageTaskEvent> imageTasks() {
    return new EventSinkBuilder<>(
        "image-tasks",
        DeliveryGuarantee.EXACTLY_ONCE,
        task -> Keys.utf8(task.getId()),
        maxRecordBytes -> new EventSerializer<>(ImageTaskEvent.class));
  }

  /** Requests that a job takes back, exactly once. */
  public static EventSinkBuilder<CancelEvent> cancellations() {
    return new EventSinkBuilder<>(
        "cancellations",
        DeliveryGuarantee.EXACTLY_ONCE,
        cancel -> Keys.utf8(cancel.getId()),
        maxRecordBytes -> new EventSerializer<>(CancelEvent.class));
  }

  /**
   * Progress, at least once: visible at once instead of with the next checkpoint, and repeated
   * after a failure.
   */
  public static EventSinkBuilder<ProgressEvent> progress() {
    return new EventSinkBuilder<>(
        "progress",
        DeliveryGuarantee.AT_LEAST_ONCE,
        progress -> Keys.utf8(progress.getId()),
        maxRecordBytes -> new EventSerializer<>(ProgressEvent.class));
  }
}
