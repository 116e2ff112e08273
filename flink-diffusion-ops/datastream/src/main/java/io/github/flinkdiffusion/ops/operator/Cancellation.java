/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.OptionalLong;

/**
 * A cancellation on its way to the subtasks.
 *
 * @param timestamp event time, if it has one
 */
record Cancellation(CancelEvent event, OptionalLong timestamp) {
  private static final byte WITHOUT_TIME = 0;
  private static final byte WITH_TIME = 1;

  /** Whether a request of this event time was sent before it; always when one has no time. */
  boolean countsFor(OptionalLong sent) {
    return timestamp.isEmpty() || sent.isEmpty() || sent.getAsLong() <= timestamp.getAsLong();
  }

  /**
   * Takes back all requests of its id that were sent before it and have no result yet; task thread.
   *
   * @return false when there is none
   */
  boolean takeBack(List<Request> inFlight) {
    boolean found = false;
    for (Request request : inFlight) {
      if (!request.outcome.isDone()
          && request.event.id().equals(event.getId())
          && countsFor(request.timestamp)) {
        request.cancel(event);
        found = true;
      }
    }
    return found;
  }

  byte[] encode() {
    byte[] bytes = EventCodec.cancellations().encode(event);
    return ByteBuffer.allocate(1 + Long.BYTES + bytes.length)
        .put(timestamp.isPresent() ? WITH_TIME : WITHOUT_TIME)
        .putLong(timestamp.orElse(0))
        .put(bytes)
        .array();
  }

  /**
   * @throws DiffusionException when {@link #encode} of this or an earlier version did not write it
   */
  static Cancellation decode(byte[] encoded) {
    ByteBuffer in = ByteBuffer.wrap(encoded);
    boolean timed = in.get() == WITH_TIME;
    long time = in.getLong();
    byte[] bytes = new byte[in.remaining()];
    in.get(bytes);
    try {
      return new Cancellation(
          EventCodec.cancellations().decode(bytes),
          timed ? OptionalLong.of(time) : OptionalLong.empty());
    } catch (UndecodableEventException e) {
      throw new DiffusionException("Cannot read a saved cancellation: " + e.getMessage(), e);
    }
  }
}
