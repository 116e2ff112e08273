/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import java.util.concurrent.Semaphore;

/**
 * The turn to train in this process: one training at a time, others wait in the order in which they
 * came. Two trainings would share the threads, the generator and the memory of the tensor library.
 *
 * <p>Jobs have class loaders of their own, so the turn is kept by the JVM's properties, as a class
 * that all of them share.
 */
final class TrainingTurn {
  private static final String KEY = "flinkdiffusion.training.turn";

  private TrainingTurn() {}

  private static Semaphore turn() {
    return (Semaphore) System.getProperties().computeIfAbsent(KEY, key -> new Semaphore(1, true));
  }

  static void await() throws InterruptedException {
    turn().acquire();
  }

  static void end() {
    turn().release();
  }

  /** Whether a training waits. */
  static boolean isAwaited() {
    return turn().hasQueuedThreads();
  }
}
