/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;

/** Who took part in the call that the device failed in: told by its thread, read by the task's. */
final class FailedCall {
  private final Queue<Request> suspects = new ConcurrentLinkedQueue<>();
  private volatile int size;

  /**
   * @param size how many took part, of all subtasks
   */
  void tookPart(Request request, int size) {
    suspects.add(request);
    this.size = size;
  }

  /** Tells the coordinator, if there was such a call. */
  void tell(Probation probation) {
    if (!suspects.isEmpty()) {
      probation.fails(List.copyOf(suspects), size);
    }
  }
}
