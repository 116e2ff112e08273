/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.simulation;

import io.github.flinkdiffusion.ops.batching.Ticker;

/**
 * Time in which nobody waits for the next arrival. It only goes forward, from zero; of a real
 * device it is the time of its calls, of a simulated one that which the calls are said to take.
 */
public abstract class Clock implements Ticker {
  private long skipped;

  private Clock() {}

  /** Goes forward to a moment; nothing happens if it has passed. */
  public final void skipTo(long nanos) {
    skipped += Math.max(0, nanos - nanos());
  }

  @Override
  public final long nanos() {
    return skipped + spent();
  }

  /** Nanoseconds that passed of themselves. */
  abstract long spent();

  /** The machine's time, without that in which there is nothing to do. */
  public static Clock real() {
    long begin = System.nanoTime();
    return new Clock() {
      @Override
      long spent() {
        return System.nanoTime() - begin;
      }
    };
  }

  /** Time that passes only when it is skipped. */
  public static Clock simulated() {
    return new Clock() {
      @Override
      long spent() {
        return 0;
      }
    };
  }
}
