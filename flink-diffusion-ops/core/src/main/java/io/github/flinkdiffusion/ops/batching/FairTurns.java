/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import java.util.Collection;
import java.util.HashMap;
import java.util.Map;

/**
 * Grouping: only trajectories of equal batch key can share a call, so the keys take turns. The next
 * is the one that was not served for the longest time; one that is new goes first.
 */
final class FairTurns {
  private final Map<Object, Long> lastTurn = new HashMap<>();
  private long turn;

  /**
   * @param all of all trajectories that could take a step
   * @param keys of those whose turn it is, in their order of service; at least one
   * @return the key whose turn it is
   */
  Object next(Collection<Object> all, Collection<Object> keys) {
    lastTurn.keySet().retainAll(all);
    Object chosen = null;
    long oldest = Long.MAX_VALUE;
    for (Object key : keys) {
      long last = lastTurn.getOrDefault(key, -1L);
      if (last < oldest) {
        oldest = last;
        chosen = key;
      }
    }
    lastTurn.put(chosen, turn++);
    return chosen;
  }
}
