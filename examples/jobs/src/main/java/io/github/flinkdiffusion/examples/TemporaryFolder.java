/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.util.FileUtils;

/** A folder that is gone when it is closed, with everything in it. */
final class TemporaryFolder implements AutoCloseable {
  private final Path path;

  private TemporaryFolder(Path path) {
    this.path = path;
  }

  /**
   * @param prefix beginning of its name
   * @throws DemoException when the system's temporary folder cannot be written
   */
  static TemporaryFolder create(String prefix) {
    try {
      return new TemporaryFolder(Files.createTempDirectory(prefix));
    } catch (IOException e) {
      throw new DemoException(
          "Cannot make a folder for checkpoints in %s (%s); set another one with TMPDIR=..."
              .formatted(System.getProperty("java.io.tmpdir"), e),
          e);
    }
  }

  Path path() {
    return path;
  }

  @Override
  public void close() {
    FileUtils.deleteDirectoryQuietly(path.toFile());
  }
}
