/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Held by one thread of one process of the machine. The file system's own lock, so it ends with its
 * process. Python's locks are of another kind: processes of both may download a file twice, and a
 * rename decides.
 *
 * <p>POSIX ends a process's lock as soon as any of its threads closes the file. So threads first
 * agree, by a system property, which the class loaders of several jobs share, on the one that opens
 * it.
 */
final class CacheLock implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(CacheLock.class);
  private static final String PROPERTY = "io.github.flinkdiffusion.hub.lock.";
  private static final long PAUSE_MILLIS = 100;
  private static final long LOG_EVERY_NANOS = 30_000_000_000L;

  private final String property;
  private final FileChannel channel;

  private CacheLock(String property, FileChannel channel) {
    this.property = property;
    this.channel = channel;
  }

  /** What is tried again until it succeeds. */
  private interface Attempt {
    boolean succeeds() throws IOException;
  }

  /** Waits for as long as somebody else holds it. */
  static CacheLock take(Path file) throws IOException, InterruptedException {
    Files.createDirectories(file.getParent());
    String property = PROPERTY + file;
    repeat(file, () -> System.getProperties().putIfAbsent(property, "held") == null);
    FileChannel channel = null;
    try {
      channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
      FileChannel opened = channel;
      repeat(file, () -> opened.tryLock() != null);
      return new CacheLock(property, channel);
    } catch (IOException | InterruptedException | RuntimeException e) {
      try {
        if (channel != null) {
          channel.close();
        }
      } finally {
        System.clearProperty(property);
      }
      throw e;
    }
  }

  private static void repeat(Path file, Attempt attempt) throws IOException, InterruptedException {
    long told = System.nanoTime();
    while (!attempt.succeeds()) {
      if (System.nanoTime() - told > LOG_EVERY_NANOS) {
        told = System.nanoTime();
        LOG.info("Waiting for another download, which holds {}", file);
      }
      Thread.sleep(PAUSE_MILLIS);
    }
  }

  @Override
  public void close() throws IOException {
    try {
      channel.close();
    } finally {
      System.clearProperty(property);
    }
  }
}
