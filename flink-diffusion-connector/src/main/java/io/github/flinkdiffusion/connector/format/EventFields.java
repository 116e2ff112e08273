/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.format;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.ModelEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.TextEvent;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.avro.Schema;
import org.apache.avro.Schema.Field;

/** Which fields of an event are for other systems, and which of them a sender may leave out. */
final class EventFields {
  /** Set by sources and taken by sinks; nobody else writes or reads them. */
  private static final Map<String, Set<String>> INTERNAL =
      Map.of(
          PromptEvent.class.getSimpleName(), Set.of("origin", "context"),
          ImageTaskEvent.class.getSimpleName(), Set.of("origin", "context"),
          ImageEvent.class.getSimpleName(), Set.of("original", "context"),
          TextEvent.class.getSimpleName(), Set.of("original", "context"));

  /** Requests and versions of models without an id are named by their place in Kafka. */
  private static final Set<String> WITHOUT_ID =
      Set.of(
          PromptEvent.class.getSimpleName(),
          ImageTaskEvent.class.getSimpleName(),
          ModelEvent.class.getSimpleName());

  private EventFields() {}

  static boolean isInternal(Schema record, Field field) {
    return INTERNAL.getOrDefault(record.getName(), Set.of()).contains(field.name());
  }

  /** Fields that other systems see, in the order of the schema. */
  static List<Field> visible(Schema record) {
    return record.getFields().stream().filter(field -> !isInternal(record, field)).toList();
  }

  static boolean isDerivedId(Schema record, Field field) {
    return field.name().equals("id") && WITHOUT_ID.contains(record.getName());
  }
}
