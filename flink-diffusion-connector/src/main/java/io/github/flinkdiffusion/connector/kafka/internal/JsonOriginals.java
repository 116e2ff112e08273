/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Originals;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.connector.format.EventJson;
import java.nio.ByteBuffer;
import org.apache.avro.specific.SpecificRecord;

/**
 * A failure for readers of JSON: the request within it is JSON, too. An operator does not know the
 * bytes that a request came as, so it encodes it in Avro.
 */
final class JsonOriginals {
  private JsonOriginals() {}

  /** The failure itself where its original is no request, or not all of one. */
  static FailureEvent of(FailureEvent failure) {
    if (failure.getOriginalSize() != null) {
      return failure;
    }
    byte[] json;
    try {
      SpecificRecord request = EventCodec.decodeAny(Contexts.copy(failure.getOriginal()));
      if (request instanceof PromptEvent prompt) {
        json = EventJson.of(PromptEvent.class).write(prompt);
      } else if (request instanceof ImageTaskEvent task) {
        json = EventJson.of(ImageTaskEvent.class).write(task);
      } else {
        return failure;
      }
    } catch (UndecodableEventException | IllegalArgumentException e) {
      return failure; // it stays the bytes that it is
    }
    FailureEvent changed = Originals.copy(failure);
    changed.setOriginal(ByteBuffer.wrap(json));
    return changed;
  }
}
