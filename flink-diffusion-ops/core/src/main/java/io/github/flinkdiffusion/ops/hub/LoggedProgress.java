/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A line in the log for every tenth of a download, and at least every half minute. */
final class LoggedProgress implements HubProgress {
  private static final Logger LOG = LoggerFactory.getLogger(LoggedProgress.class);
  private static final int LINES = 10;
  private static final long NANOS = 30_000_000_000L;
  private static final double MEBIBYTE = 1 << 20;

  private long lastTenth;
  private long lastNanos = System.nanoTime();

  @Override
  public void at(String what, long done, long total) {
    long tenth = done * LINES / total;
    long now = System.nanoTime();
    if (tenth != lastTenth || now - lastNanos > NANOS) {
      lastTenth = tenth;
      lastNanos = now;
      LOG.info(
          "{}: {} of {} MiB downloaded",
          what,
          Math.round(done / MEBIBYTE),
          Math.round(total / MEBIBYTE));
    }
  }
}
