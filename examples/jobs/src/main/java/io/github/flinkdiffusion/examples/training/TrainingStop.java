/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Ends a training when its process is asked to end (Ctrl-C, SIGTERM): after the current step, whose
 * state is saved.
 *
 * <p>The process must not end before. When it does, the C library destroys what libtorch keeps for
 * the whole process while the training's thread computes with it, and the process crashes.
 */
final class TrainingStop {
  /** For a step and its samples. What takes longer is killed where it is. */
  private static final Duration PATIENCE = Duration.ofMinutes(10);

  /** As shells have it for a process that SIGTERM ended. */
  private static final int TERMINATED = 128 + 15;

  private volatile Running current;

  /** A training that runs. */
  static final class Running implements AutoCloseable {
    private final CountDownLatch ended = new CountDownLatch(1);
    private volatile boolean asked;

    boolean isAskedToStop() {
      return asked;
    }

    @Override
    public void close() {
      ended.countDown();
    }
  }

  /** One training at a time; closed when nothing of it runs any more. */
  Running running() {
    Running running = new Running();
    current = running;
    return running;
  }

  /** Asks the training to end, and waits for that; for the thread that ends the process. */
  void request() {
    Running running = current;
    if (running == null || running.ended.getCount() == 0) {
      return;
    }
    running.asked = true;
    System.err.println("\nThe training ends after this step.");
    try {
      if (!running.ended.await(PATIENCE.toMillis(), TimeUnit.MILLISECONDS)) {
        Runtime.getRuntime().halt(TERMINATED);
      }
    } catch (InterruptedException e) {
      Runtime.getRuntime().halt(TERMINATED);
    }
  }
}
