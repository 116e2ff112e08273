/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.table;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.ModelEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.TextEvent;
import io.github.flinkdiffusion.connector.event.VoteEvent;
import java.util.Locale;
import org.apache.avro.Schema;
import org.apache.avro.specific.SpecificData;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.annotation.Internal;

/** The events, as {@code 'diffusion-avro.event'} names them. */
@Internal
public enum EventKind {
  /** A request for a picture made from text. */
  PROMPT(PromptEvent.class),
  /** A request for a picture made from another. */
  IMAGE_TASK(ImageTaskEvent.class),
  /** A finished picture. */
  IMAGE(ImageEvent.class),
  /** A finished text. */
  TEXT(TextEvent.class),
  /** A record that could not be done. */
  FAILURE(FailureEvent.class),
  /** How far a request has come. */
  PROGRESS(ProgressEvent.class),
  /** A request taken back. */
  CANCEL(CancelEvent.class),
  /** A version of a model that requests begin on. */
  MODEL(ModelEvent.class),
  /** What a person found better. */
  VOTE(VoteEvent.class);

  private final Class<? extends SpecificRecord> eventClass;

  EventKind(Class<? extends SpecificRecord> eventClass) {
    this.eventClass = eventClass;
  }

  Class<? extends SpecificRecord> eventClass() {
    return eventClass;
  }

  /** Today's. */
  Schema schema() {
    return SpecificData.getForClass(eventClass).getSchema(eventClass);
  }

  /** Finds the generated classes wherever this one was loaded from. */
  static SpecificData records() {
    return new SpecificData(EventKind.class.getClassLoader());
  }

  /** {@code image-task}, which is how options spell it. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
