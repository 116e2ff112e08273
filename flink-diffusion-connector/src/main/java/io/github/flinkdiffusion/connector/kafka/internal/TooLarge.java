/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureMessages;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.ModelEvent;
import io.github.flinkdiffusion.connector.event.Original;
import io.github.flinkdiffusion.connector.event.Originals;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordPosition;
import io.github.flinkdiffusion.connector.event.TextEvent;
import java.nio.ByteBuffer;
import java.util.Map;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.annotation.Internal;

/**
 * What becomes of events that do not fit into a record of Kafka. A sink that threw would fail the
 * job, and again after every restart, because of one event. So an event becomes a failure, or loses
 * what it can do without.
 */
@Internal
public final class TooLarge {
  private static final int MAX_TEXT_CHARS = 512;
  private static final String STORE_ELSEWHERE =
      " Set diffusion.payload.store, so that large images are stored outside of Kafka, or raise"
          + " diffusion.kafka.max-event-size and the topic's max.message.bytes.";

  private TooLarge() {}

  public static FailureEvent image(ImageEvent image, String size) {
    return failure(
        image,
        image.getId(),
        "The result of request %s, with an image of %d x %d pixels, %s%s"
            .formatted(
                shortened(image.getId()),
                image.getWidth(),
                image.getHeight(),
                size,
                STORE_ELSEWHERE),
        image.getOriginal(),
        image.getAttributes());
  }

  public static FailureEvent text(TextEvent text, String size) {
    return failure(
        text,
        text.getId(),
        "The result of request %s, a text of %d characters, %s Raise diffusion.kafka.max-event-size and the topic's max.message.bytes."
            .formatted(shortened(text.getId()), text.getText().length(), size),
        text.getOriginal(),
        text.getAttributes());
  }

  public static FailureEvent imageTask(ImageTaskEvent task, String size) {
    return failure(
        task,
        task.getId(),
        "Request %s %s%s".formatted(shortened(task.getId()), size, STORE_ELSEWHERE),
        original(EventCodec.imageTasks().encode(task), task.getOrigin()),
        task.getAttributes());
  }

  public static FailureEvent prompt(PromptEvent prompt, String size) {
    return failure(
        prompt,
        prompt.getId(),
        "Request %s %s Shorten its texts or attributes, or raise diffusion.kafka.max-event-size."
            .formatted(shortened(prompt.getId()), size),
        original(EventCodec.prompts().encode(prompt), prompt.getOrigin()),
        prompt.getAttributes());
  }

  public static FailureEvent model(ModelEvent event, String size) {
    return failure(
        event,
        event.getId(),
        "Model event %s %s Shorten its texts, or raise diffusion.kafka.max-event-size."
            .formatted(shortened(event.getId()), size),
        original(EventCodec.models().encode(event), null),
        Map.of());
  }

  /** A cancellation needs no more than the id. */
  public static CancelEvent shortened(CancelEvent cancel) {
    return new CancelEvent(shortened(cancel.getId()), shortened(cancel.getReason()));
  }

  /** Progress without its picture. */
  public static ProgressEvent shortened(ProgressEvent progress) {
    return ProgressEvent.newBuilder(progress)
        .setId(shortened(progress.getId()))
        .setPreview(null)
        .build();
  }

  /** No longer than ids may be. */
  public static String shortened(String text) {
    return FailureMessages.shortened(text, MAX_TEXT_CHARS);
  }

  private static FailureEvent failure(
      SpecificRecord event,
      String id,
      String message,
      Original original,
      Map<String, String> attributes) {
    FailureEvent.Builder failure =
        FailureEvent.newBuilder()
            .setId(id)
            .setReason(FailureReason.TOO_LARGE)
            .setMessage(FailureMessages.safe(message, event))
            .setAttributes(attributes)
            .setContext(Contexts.of(event));
    return Originals.set(failure, original).build();
  }

  /** Whole; {@link FailureSerializer} truncates what does not fit. */
  private static Original original(byte[] event, RecordPosition origin) {
    return new Original(ByteBuffer.wrap(event), null, null, origin);
  }
}
