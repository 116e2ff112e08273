/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.payload;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.annotation.Internal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A verified payload as a file of this machine, for readers that jump about in it: a window of a
 * large GeoTIFF is read without holding the rest in memory. Only to be read. Closing it deletes the
 * copy, if it is one.
 */
@Internal
public final class PayloadFile implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(PayloadFile.class);

  private final Path path;
  private final boolean copy;

  PayloadFile(Path path, boolean copy) {
    this.path = path;
    this.copy = copy;
  }

  public Path path() {
    return path;
  }

  @Override
  public void close() {
    if (copy) {
      try {
        Files.deleteIfExists(path);
      } catch (IOException e) {
        LOG.warn("Could not delete {}, a copy of a payload that is no longer needed.", path, e);
      }
    }
  }
}
