package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordPosition;
import java.util.Map;
import org.apache.avro.specific.SpecificRecord;

/** A request as it arrived, whichever kind of event it is. */
sealed interface RequestEvent {

  /** The event itself. */
  SpecificRecord event();

  String id();

  int priority();

  /** Milliseconds since 1970-01-01 UTC, or null. */
  Long deadline();

  /** Where it was read from, or null. */
  RecordPosition origin();

  Map<String, String> attributes();

  /** As it stands in Kafka. */
  byte[] encoded();

  /**
   * What tells it from all others, in every attempt: its place in Kafka, else the digest of what it
   * says. Two requests of one id are two, unless nothing else tells them apart either.
   */
  default String key() {
    RecordPosition origin = origin();
    return origin == null
        ? Payloads.sha256(encoded())
        : "%s/%d@%d".formatted(origin.getTopic(), origin.getPartition(), origin.getOffset());
  }

  /** A picture from text. */
  record Prompt(PromptEvent event) implements RequestEvent {
    @Override
    public String id() {
      return event.getId();
    }

    @Override
    public int priority() {
      return event.getPriority();
    }

    @Override
    public Long deadline() {
      return event.getDeadline();
    }

    @Override
    public RecordPosition origin() {
      return event.getOrigin();
    }

    @Override
    public Map<String, String> attributes() {
      return event.getAttributes();
    }

    @Override
    public byte[] encoded() {
      return EventCodec.prompts().encode(event);
    }
  }

  /** A picture from a picture. */
  record ImageTask(ImageTaskEvent event) implements RequestEvent {
    @Override
    public String id() {
      return event.getId();
    }

    @Override
    public int priority() {
      return event.getPriority();
    }

    @Override
    public Long deadline() {
      return event.getDeadline();
    }

    @Override
    public RecordPosition origin() {
      return event.getOrigin();
    }

    @Override
    public Map<String, String> attributes() {
      return event.getAttributes();
    }

    @Override
    public byte[] encoded() {
      return EventCodec.imageTasks().encode(event);
    }
  }
}
