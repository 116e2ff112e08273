/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Closes a response's body when nothing has come of it for a while: Java's client has a timeout for
 * a response's beginning only, and a read of a silent connection would last for ever.
 */
final class StallWatch implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(StallWatch.class);

  private final Thread thread;
  private volatile long lastNanos = System.nanoTime();

  private StallWatch(InputStream body, Duration patience) {
    thread = new Thread(() -> watch(body, patience), "diffusion-hub-watch");
    thread.setDaemon(true);
    thread.start();
  }

  static StallWatch over(InputStream body, Duration patience) {
    return new StallWatch(body, patience);
  }

  /** Something has come. */
  void progress() {
    lastNanos = System.nanoTime();
  }

  private void watch(InputStream body, Duration patience) {
    try {
      while (true) {
        long left = patience.toNanos() - (System.nanoTime() - lastNanos);
        if (left <= 0) {
          LOG.warn("Nothing has come for {} s; ending the connection", patience.toSeconds());
          body.close();
          return;
        }
        Thread.sleep(Math.max(1, left / 1_000_000));
      }
    } catch (InterruptedException e) {
      // The body has been read.
    } catch (IOException e) {
      LOG.debug("Cannot close a response", e);
    }
  }

  @Override
  public void close() {
    thread.interrupt();
  }
}
