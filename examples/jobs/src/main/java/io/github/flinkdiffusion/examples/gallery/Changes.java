/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The last changes of the wall, numbered in one order for all readers. Bounded: a reader that falls
 * too far behind loads the whole wall again.
 */
final class Changes {
  /**
   * A change.
   *
   * @param number from 1, without a gap
   * @param type of the event that the browser gets
   * @param json its data, in one line
   */
  record Change(long number, String type, String json) {}

  private final Change[] ring;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition more = lock.newCondition();
  private long last;

  Changes(int most) {
    ring = new Change[most];
  }

  void add(String type, String json) {
    lock.lock();
    try {
      last++;
      ring[(int) (last % ring.length)] = new Change(last, type, json);
      more.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** The number of the last change; 0 when there was none. */
  long last() {
    lock.lock();
    try {
      return last;
    } finally {
      lock.unlock();
    }
  }

  /** Whether every change after that number is still here. */
  boolean reachesBackTo(long number) {
    lock.lock();
    try {
      return number <= last && last - number <= ring.length;
    } finally {
      lock.unlock();
    }
  }

  /**
   * The changes after a number; waits for the first of them, at most so long.
   *
   * @return empty when there was none in that time
   */
  List<Change> after(long number, long millis) throws InterruptedException {
    lock.lock();
    try {
      long left = TimeUnit.MILLISECONDS.toNanos(millis);
      while (last <= number && left > 0) {
        left = more.awaitNanos(left);
      }
      List<Change> changes = new ArrayList<>();
      for (long n = Math.max(number, last - ring.length) + 1; n <= last; n++) {
        changes.add(ring[(int) (n % ring.length)]);
      }
      return changes;
    } finally {
      lock.unlock();
    }
  }
}
