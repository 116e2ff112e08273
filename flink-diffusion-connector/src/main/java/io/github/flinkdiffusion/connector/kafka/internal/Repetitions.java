/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordContext;
import io.github.flinkdiffusion.connector.event.RecordPosition;
import io.github.flinkdiffusion.connector.event.TextEvent;
import io.github.flinkdiffusion.connector.kafka.EventHeaders;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.ToLongFunction;
import org.apache.avro.specific.SpecificData;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.common.TopicPartition;

/**
 * Which events an earlier attempt of the job may have written already: those whose request was in
 * Kafka when this attempt began. Where a request came from is in the event, so a request that was
 * sent later is known to be new. Of an event that does not say where its request came from, nothing
 * is known, and it is marked.
 */
final class Repetitions {
  private static final ByteBuffer POSSIBLE = ByteBuffer.wrap("possible".getBytes(UTF_8));

  private final ToLongFunction<TopicPartition> end;
  private final Map<TopicPartition, Long> ends = new HashMap<>();

  /**
   * @param end the offset of the next record of a partition; asked once for each. A later answer
   *     than the beginning of the attempt marks more events than need be, and no fewer.
   */
  Repetitions(ToLongFunction<TopicPartition> end) {
    this.end = end;
  }

  /** The event itself, or a copy of it whose record will be marked. */
  <T> T marked(T event) {
    RecordPosition origin = origin(event);
    if (origin != null) {
      TopicPartition partition = new TopicPartition(origin.getTopic(), origin.getPartition());
      if (origin.getOffset() >= ends.computeIfAbsent(partition, end::applyAsLong)) {
        return event;
      }
    }
    T copy = copy(event);
    RecordContext before = Contexts.of(event);
    Map<String, ByteBuffer> headers =
        new TreeMap<>(before == null ? Map.of() : before.getHeaders());
    headers.put(EventHeaders.DUPLICATE, POSSIBLE.duplicate());
    Contexts.replace(copy, new RecordContext(before == null ? null : before.getKey(), headers));
    return copy;
  }

  private static RecordPosition origin(Object event) {
    if (event instanceof ImageEvent image) {
      return image.getOriginal() == null ? null : image.getOriginal().getOrigin();
    } else if (event instanceof TextEvent text) {
      return text.getOriginal() == null ? null : text.getOriginal().getOrigin();
    } else if (event instanceof PromptEvent prompt) {
      return prompt.getOrigin();
    } else if (event instanceof ImageTaskEvent task) {
      return task.getOrigin();
    } else if (event instanceof FailureEvent failure && failure.getOffset() != null) {
      return new RecordPosition(failure.getTopic(), failure.getPartition(), failure.getOffset());
    }
    return null;
  }

  /** Shares all values, which a builder would copy. */
  @SuppressWarnings("unchecked") // of the same schema, hence of the same class
  private static <T> T copy(T event) {
    SpecificRecord from = (SpecificRecord) event;
    SpecificRecord copy = (SpecificRecord) SpecificData.get().newRecord(null, from.getSchema());
    for (int i = 0; i < from.getSchema().getFields().size(); i++) {
      copy.put(i, from.get(i));
    }
    return (T) copy;
  }
}
