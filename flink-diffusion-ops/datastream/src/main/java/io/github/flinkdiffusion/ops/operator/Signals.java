/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;

/**
 * Watermarks and their status between two requests. Only the last of each kind counts, since all
 * would be put out at the same moment; so however many come while the operator is busy, they stay
 * two.
 */
final class Signals {
  /** {@link Watermark} or {@link WatermarkStatus}, the latest last. */
  private final List<Object> inOrder = new ArrayList<>(2);

  /** The signals at the end of a queue, after all else in it. */
  static Signals lastOf(Deque<Object> queue) {
    if (!(queue.peekLast() instanceof Signals)) {
      queue.add(new Signals());
    }
    return (Signals) queue.getLast();
  }

  void add(Watermark watermark) {
    inOrder.removeIf(Watermark.class::isInstance);
    inOrder.add(watermark);
  }

  void add(WatermarkStatus status) {
    inOrder.removeIf(WatermarkStatus.class::isInstance);
    inOrder.add(status);
  }

  List<Object> inOrder() {
    return inOrder;
  }
}
