/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torch;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * An archive that lives until libtorch has loaded it. None is worth keeping: one without weights is
 * written in milliseconds, and weights in training are used once.
 */
final class TemporaryArchive {
  private static final Logger LOG = LoggerFactory.getLogger(TemporaryArchive.class);

  private TemporaryArchive() {}

  /** Writes an archive. */
  @FunctionalInterface
  interface Writer {
    void write(Path archive) throws IOException;
  }

  /**
   * Hands a complete archive to a function, which may not keep the path.
   *
   * @param name of the network, which is the file's
   * @throws UncheckedIOException naming the network, if the archive cannot be written
   */
  static <T> T with(String name, Writer writer, Function<Path, T> use) {
    Path folder = null;
    try {
      folder = Files.createTempDirectory("flink-diffusion");
      Path archive = folder.resolve(name + ".pt");
      writer.write(archive);
      return use.apply(archive);
    } catch (IOException e) {
      throw new UncheckedIOException(
          "The archive of %s could not be written to a temporary folder: %s".formatted(name, e), e);
    } finally {
      if (folder != null) {
        deleteQuietly(folder.resolve(name + ".pt"));
        deleteQuietly(folder);
      }
    }
  }

  private static void deleteQuietly(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      LOG.warn("{} could not be deleted: {}", file, e.toString());
    }
  }
}
