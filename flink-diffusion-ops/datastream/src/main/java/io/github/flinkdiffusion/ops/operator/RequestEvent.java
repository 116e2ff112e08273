/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordContext;
import io.github.flinkdiffusion.connector.event.RecordPosition;
import io.github.flinkdiffusion.ops.serving.ModelList;
import java.util.Map;
import java.util.function.Supplier;
import org.apache.avro.specific.SpecificRecord;

/**
 * A request as it arrived, whichever kind of event it is.
 *
 * @param event the event itself
 * @param deadline milliseconds since 1970-01-01 UTC, or null
 * @param origin where it was read from, or null
 * @param context key and headers that result and failure get, too, or null
 * @param model by its name in the {@link ModelList}, if there is one of it
 * @param encoder gives the event as it stands in Kafka
 */
record RequestEvent(
    SpecificRecord event,
    String id,
    int priority,
    Long deadline,
    RecordPosition origin,
    RecordContext context,
    Map<String, String> attributes,
    String model,
    Supplier<byte[]> encoder) {

  static RequestEvent of(PromptEvent event) {
    return new RequestEvent(
        event,
        event.getId(),
        event.getPriority(),
        event.getDeadline(),
        event.getOrigin(),
        event.getContext(),
        event.getAttributes(),
        model(event.getParameters()),
        () -> EventCodec.prompts().encode(event));
  }

  static RequestEvent of(ImageTaskEvent event) {
    return new RequestEvent(
        event,
        event.getId(),
        event.getPriority(),
        event.getDeadline(),
        event.getOrigin(),
        event.getContext(),
        event.getAttributes(),
        model(event.getParameters()),
        () -> EventCodec.imageTasks().encode(event));
  }

  /** A prompt or an image task. */
  static RequestEvent of(SpecificRecord event) {
    return event instanceof PromptEvent prompt ? of(prompt) : of((ImageTaskEvent) event);
  }

  private static String model(Map<String, String> parameters) {
    return parameters.getOrDefault(ModelList.PARAMETER, ModelList.DEFAULT);
  }

  byte[] encoded() {
    return encoder.get();
  }

  /**
   * What tells it from all others, in every attempt: its place in Kafka, else the digest of what it
   * says. Two requests of one id are two, unless nothing else tells them apart either.
   */
  String key() {
    return origin == null
        ? Payloads.sha256(encoded())
        : "%s/%d@%d".formatted(origin.getTopic(), origin.getPartition(), origin.getOffset());
  }
}
