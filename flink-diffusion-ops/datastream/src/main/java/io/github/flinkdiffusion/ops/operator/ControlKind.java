/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.ModelEvent;
import java.io.Serializable;
import java.util.OptionalLong;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

/**
 * A kind of message that all subtasks of an operator receive.
 *
 * @param <E> the event
 */
interface ControlKind<E> extends Serializable {
  ControlKind<CancelEvent> CANCELLATIONS = new Cancels();
  ControlKind<ModelEvent> MODELS = new Models();

  /** Of the relay's state. */
  String stateName();

  /** A message, of bounded size. */
  byte[] encode(StreamRecord<E> element);

  /** Whether a subtask that has read the message notices when it reads it again. */
  boolean isKnownAgain(byte[] message);

  /** As {@link Cancellation}s. */
  final class Cancels implements ControlKind<CancelEvent> {
    private static final long serialVersionUID = 1L;

    /** A reason is for people; a longer one is cut, so that the board stays small. */
    static final int LONGEST_REASON = 1_000;

    private Cancels() {}

    @Override
    public String stateName() {
      return "diffusion-relayed-cancellations";
    }

    @Override
    public byte[] encode(StreamRecord<CancelEvent> element) {
      return new Cancellation(
              bounded(element.getValue()),
              element.hasTimestamp()
                  ? OptionalLong.of(element.getTimestamp())
                  : OptionalLong.empty())
          .encode();
    }

    private static CancelEvent bounded(CancelEvent event) {
      String reason = event.getReason();
      return reason == null || reason.length() <= LONGEST_REASON
          ? event
          : CancelEvent.newBuilder(event).setReason(reason.substring(0, LONGEST_REASON)).build();
    }

    @Override
    public boolean isKnownAgain(byte[] message) {
      return Cancellation.decode(message).timestamp().isPresent();
    }
  }

  /** As they stand in Kafka. A source bounds their size. */
  final class Models implements ControlKind<ModelEvent> {
    private static final long serialVersionUID = 1L;

    private Models() {}

    @Override
    public String stateName() {
      return "diffusion-relayed-models";
    }

    @Override
    public byte[] encode(StreamRecord<ModelEvent> element) {
      return EventCodec.models().encode(element.getValue());
    }

    @Override
    public boolean isKnownAgain(byte[] message) {
      return true;
    }
  }
}
