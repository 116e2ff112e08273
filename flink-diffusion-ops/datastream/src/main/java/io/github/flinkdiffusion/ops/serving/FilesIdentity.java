/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.weights.Sha256;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Collection;
import java.util.List;
import java.util.stream.Stream;

/**
 * Tells whether files are those that they were, without reading them: by name, size, time of change
 * and the file system's own number, as build tools do.
 */
final class FilesIdentity {
  /** A model folder has two levels, or three. */
  private static final int MOST_LEVELS = 8;

  private FilesIdentity() {}

  /**
   * @param paths files, and folders with all that is in them; what links lead to counts
   * @return equal as long as nobody has changed one; empty when they cannot be looked at, which
   *     opening them will explain
   */
  static String of(Collection<Path> paths) {
    Sha256 digest = new Sha256();
    try {
      for (Path path : paths) {
        List<Path> files;
        try (Stream<Path> all = Files.walk(path, MOST_LEVELS, FileVisitOption.FOLLOW_LINKS)) {
          files = all.sorted().toList();
        }
        for (Path file : files) {
          BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
          if (attributes.isRegularFile()) {
            digest.add(
                "%s %d %s %s%n"
                    .formatted(
                        file,
                        attributes.size(),
                        attributes.lastModifiedTime(),
                        attributes.fileKey()));
          }
        }
      }
    } catch (IOException | UncheckedIOException e) {
      return "";
    }
    return digest.hex();
  }
}
