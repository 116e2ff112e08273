/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureMessages;
import io.github.flinkdiffusion.connector.event.Originals;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import java.util.Map;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.serialization.SerializationSchema;

/**
 * A failure as the value of a Kafka record, always small enough to be written.
 *
 * <p>A failure holds the record it is about and some words more, so a record that only just went
 * through Kafka would not go through again. The job would fail on it, at every attempt, because of
 * one bad record. Instead the original is truncated, then attributes are left out, and the message
 * says so.
 */
@Internal
public final class FailureSerializer implements SerializationSchema<FailureEvent> {
  private static final long serialVersionUID = 1L;

  /** What the note in the message, and size and digest of a truncated original, add at most. */
  private static final int NOTE_BYTES = 512;

  private final int maxRecordBytes;
  private final boolean json;
  private final EventSerializer<FailureEvent> serializer;

  /**
   * @param topic that the values are for
   */
  public FailureSerializer(int maxRecordBytes, FormatSettings format, String topic) {
    this.maxRecordBytes = maxRecordBytes;
    this.json = format.format().isJson();
    this.serializer = new EventSerializer<>(FailureEvent.class, format, topic);
  }

  @Override
  public byte[] serialize(FailureEvent event) {
    FailureEvent failure = json ? JsonOriginals.of(event) : event;
    // Before it is encoded, which copies it: a record may be far too large.
    FailureEvent shortened = Originals.truncated(failure, maxRecordBytes);
    byte[] bytes = serializer.serialize(shortened);
    if (shortened == failure && fits(failure, bytes)) {
      return bytes;
    }
    int original = shortened.getOriginal().remaining();
    long excess = size(failure, bytes) - maxRecordBytes;
    shortened =
        withNote(
            Originals.truncated(failure, (int) Math.max(0, original - excess - NOTE_BYTES)),
            safe(failure),
            "The original is truncated: with all its bytes this record would exceed the limit of"
                + " %d bytes.");
    bytes = serializer.serialize(shortened);
    if (fits(shortened, bytes)) {
      return bytes;
    }
    shortened =
        withNote(
            Originals.truncated(failure, 0),
            TooLarge.shortened(safe(failure)),
            "Original and attributes are left out: with them this record would exceed the limit of"
                + " %d bytes.");
    shortened.setAttributes(Map.of());
    shortened.setId(keyText(failure));
    return serializer.serialize(shortened);
  }

  private FailureEvent withNote(FailureEvent failure, String message, String note) {
    FailureEvent noted = Originals.copy(failure);
    String added = " (%s)".formatted(note.formatted(maxRecordBytes));
    noted.setMessage(
        FailureMessages.shortened(message, FailureMessages.MAX_CHARS - added.length()) + added);
    return noted;
  }

  /** Whoever made the failure; a path stays if the original or another field has it. */
  private static String safe(FailureEvent failure) {
    FailureEvent rest = Originals.copy(failure);
    rest.setMessage("");
    return FailureMessages.safe(failure.getMessage(), rest);
  }

  private boolean fits(FailureEvent failure, byte[] value) {
    return size(failure, value) <= maxRecordBytes;
  }

  /** Whichever of its keys the record gets. */
  private static long size(FailureEvent failure, byte[] value) {
    return RecordSize.of(key(failure), value) + Contexts.bytes(failure.getContext());
  }

  /**
   * The failure's key: its id, no longer than ids may be; null, hence any partition, without one.
   */
  public static byte[] key(FailureEvent failure) {
    return Keys.utf8(keyText(failure));
  }

  private static String keyText(FailureEvent failure) {
    return failure.getId() == null ? null : TooLarge.shortened(failure.getId());
  }
}
