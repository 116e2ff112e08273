/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import java.util.ArrayDeque;
import java.util.Deque;

/** What is done when a lock is free again, because it calls others. */
final class AfterLock {
  private final Deque<Runnable> actions = new ArrayDeque<>();

  void add(Runnable action) {
    actions.add(action);
  }

  void run() {
    for (Runnable next = actions.poll(); next != null; next = actions.poll()) {
      next.run();
    }
  }
}
