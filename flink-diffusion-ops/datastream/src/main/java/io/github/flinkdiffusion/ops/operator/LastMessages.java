/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/** The last cancellations in their encoding, bounded in number and size. */
final class LastMessages {
  private final int most;
  private final long mostBytes;
  private final Deque<byte[]> encoded = new ArrayDeque<>();
  private long bytes;

  /**
   * @param mostBytes of all; the last one is kept, whatever its size
   */
  LastMessages(int most, long mostBytes) {
    this.most = most;
    this.mostBytes = mostBytes;
  }

  void add(byte[] cancellation) {
    encoded.add(cancellation);
    bytes += cancellation.length;
    while (encoded.size() > most || bytes > mostBytes && encoded.size() > 1) {
      bytes -= encoded.remove().length;
    }
  }

  /** The oldest first. */
  List<byte[]> all() {
    return List.copyOf(encoded);
  }

  void clear() {
    encoded.clear();
    bytes = 0;
  }

  /**
   * Removes what one message carries from the front of a queue: at least one, then no more than fit
   * into the size.
   */
  static List<byte[]> batch(Deque<byte[]> from, long upToBytes) {
    List<byte[]> batch = new ArrayList<>();
    long size = 0;
    while (!from.isEmpty() && (batch.isEmpty() || size + from.peek().length <= upToBytes)) {
      size += from.peek().length;
      batch.add(from.remove());
    }
    return batch;
  }
}
