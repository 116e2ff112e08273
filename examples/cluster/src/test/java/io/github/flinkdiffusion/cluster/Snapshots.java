/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/** Checkpoints and savepoints in a folder, as far as they are complete. */
final class Snapshots {
  private Snapshots() {}

  /** The newest in a folder. */
  static Optional<Path> newest(Path folder, String name) {
    return complete(folder, name).stream().findFirst();
  }

  /** All in a folder, the newest first. */
  static List<Path> complete(Path folder, String name) {
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    try (Stream<Path> all = Files.list(folder)) {
      return all.filter(path -> path.getFileName().toString().startsWith(name))
          .filter(path -> Files.exists(path.resolve("_metadata")))
          .sorted(
              Comparator.comparingLong(
                      (Path path) -> path.resolve("_metadata").toFile().lastModified())
                  .reversed())
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
