/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.OperatorStateStore;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;

/**
 * The operator state that holds requests in flight. It is empty but for the moment of a snapshot,
 * so it keeps no request alive that is done.
 */
final class RequestsState {
  private static final String STATE_NAME = "diffusion-requests";

  /** What earlier versions wrote: the same items, as byte arrays. */
  private static final String STATE_OF_BYTES = "diffusion-in-flight";

  private final ListState<InFlight> state;
  private List<InFlight> restored;

  private RequestsState(ListState<InFlight> state, List<InFlight> restored) {
    this.state = state;
    this.restored = restored;
  }

  /** Reads what a checkpoint holds, of this version or an earlier one. */
  static RequestsState restore(OperatorStateStore store) throws Exception {
    List<InFlight> restored = new ArrayList<>();
    if (store.getRegisteredStateNames().contains(STATE_OF_BYTES)) {
      ListState<byte[]> earlier =
          store.getListState(
              new ListStateDescriptor<>(
                  STATE_OF_BYTES, PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO));
      for (byte[] item : earlier.get()) {
        restored.add(InFlightSerializer.deserialize(item));
      }
      earlier.clear();
    }
    ListState<InFlight> state =
        store.getListState(new ListStateDescriptor<>(STATE_NAME, InFlightTypeSerializer.INSTANCE));
    state.get().forEach(restored::add);
    state.clear();
    return new RequestsState(state, restored);
  }

  /** What was restored and is not yet resumed. */
  List<InFlight> restored() {
    return restored;
  }

  /** All that was restored is in flight now. */
  void resumed() {
    restored = List.of();
  }

  /** For a snapshot: what is in flight, besides what is not yet resumed. */
  void save(List<InFlight> inFlight) throws Exception {
    List<InFlight> items = new ArrayList<>(restored); // none once the operator is open
    items.addAll(inFlight);
    state.update(items);
  }

  /** After a snapshot: Flink has taken its own list of the items by then, and writes from that. */
  void letGo() {
    state.clear();
  }
}
