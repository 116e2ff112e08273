package io.github.flinkdiffusion.ops.operator;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Collection;
import java.util.HexFormat;
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
    MessageDigest digest = sha256();
    try {
      for (Path path : paths) {
        List<Path> files;
        try (Stream<Path> all = Files.walk(path, MOST_LEVELS, FileVisitOption.FOLLOW_LINKS)) {
          files = all.sorted().toList();
        }
        for (Path file : files) {
          BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
          if (attributes.isRegularFile()) {
            digest.update(
                "%s %d %s %s%n"
                    .formatted(
                        file,
                        attributes.size(),
                        attributes.lastModifiedTime(),
                        attributes.fileKey())
                    .getBytes(StandardCharsets.UTF_8));
          }
        }
      }
    } catch (IOException | UncheckedIOException e) {
      return "";
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("Every JVM has SHA-256.", e);
    }
  }
}
