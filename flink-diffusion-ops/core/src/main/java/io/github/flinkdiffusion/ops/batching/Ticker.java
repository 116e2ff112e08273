/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import org.apache.flink.annotation.Internal;

/** Time that only goes forward; tests set it by hand. */
@Internal
@FunctionalInterface
public interface Ticker {
  /** The machine's monotonic clock. */
  Ticker SYSTEM = System::nanoTime;

  /** Nanoseconds since some fixed moment. */
  long nanos();
}
