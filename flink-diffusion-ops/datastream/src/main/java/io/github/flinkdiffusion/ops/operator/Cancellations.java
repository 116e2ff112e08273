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
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.flink.api.common.state.BroadcastState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;

/**
 * Requests that were taken back and may still come, the last {@value #MOST} of them.
 *
 * <p>A cancellation counts for requests that were sent before it, by event time: who takes a
 * request back and then sends it anew wants the picture.
 */
final class Cancellations {
  static final int MOST = 10_000;

  /** Of every subtask the same: id, then event time as a long and the event in its encoding. */
  static final MapStateDescriptor<String, byte[]> STATE =
      new MapStateDescriptor<>(
          "diffusion-cancellations",
          Types.STRING,
          PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO);

  private record Timed(CancelEvent event, long timestamp) {}

  /** By id, the oldest first. */
  private final Map<String, Timed> byId = new LinkedHashMap<>();

  /**
   * @param timestamp event time of the cancellation
   */
  void remember(CancelEvent event, long timestamp) {
    Timed before = byId.remove(event.getId());
    boolean newer = before == null || before.timestamp <= timestamp;
    byId.put(event.getId(), newer ? new Timed(event, timestamp) : before);
    if (byId.size() > MOST) {
      byId.remove(byId.keySet().iterator().next());
    }
  }

  /** Whether it, or a later one of the same request, is remembered. */
  boolean knows(CancelEvent event, long timestamp) {
    Timed known = byId.get(event.getId());
    return known != null && known.timestamp >= timestamp;
  }

  /** The cancellation of a request that was sent at this time or before. */
  Optional<CancelEvent> after(String id, long sent) {
    return Optional.ofNullable(byId.get(id))
        .filter(cancellation -> sent <= cancellation.timestamp)
        .map(Timed::event);
  }

  void save(BroadcastState<String, byte[]> state) throws Exception {
    state.clear();
    for (Map.Entry<String, Timed> entry : byId.entrySet()) {
      byte[] event = EventCodec.cancellations().encode(entry.getValue().event);
      state.put(
          entry.getKey(),
          ByteBuffer.allocate(Long.BYTES + event.length)
              .putLong(entry.getValue().timestamp)
              .put(event)
              .array());
    }
  }

  /**
   * @throws DiffusionException when the state was not written by this or an earlier version
   */
  void restore(BroadcastState<String, byte[]> state) throws Exception {
    List<Timed> restored = new ArrayList<>();
    for (Map.Entry<String, byte[]> entry : state.immutableEntries()) {
      ByteBuffer bytes = ByteBuffer.wrap(entry.getValue());
      long timestamp = bytes.getLong();
      byte[] event = new byte[bytes.remaining()];
      bytes.get(event);
      try {
        restored.add(new Timed(EventCodec.cancellations().decode(event), timestamp));
      } catch (UndecodableEventException e) {
        throw new DiffusionException(
            "The cancellation of request %s in the restored state cannot be read: %s"
                .formatted(entry.getKey(), e.getMessage()),
            e);
      }
    }
    restored.sort(Comparator.comparingLong(Timed::timestamp));
    restored.forEach(each -> remember(each.event, each.timestamp));
  }
}
