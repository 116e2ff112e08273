/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What was found out about large files by reading them, kept in a folder, so that the next process
 * need not read gigabytes again. One small file a file: its path, its size, its times and its
 * number in the file system, all of which must be the same for the rest to count.
 *
 * <p>The time of change of a file's status ({@code ctime}) is one of them, which no program can set
 * back. What was changed within the last seconds before it was read is not remembered, since it may
 * be changed once more within the same tick of the file system's clock. Systems that have no such
 * time remember nothing.
 *
 * <p>Who may write to the folder can name a model what it is not, as they can replace converted
 * weights beside it: it is as trusted as the models.
 */
final class DigestMemory {
  private static final Logger LOG = LoggerFactory.getLogger(DigestMemory.class);
  private static final String FORMAT = "file digest, version 1";
  private static final String SUFFIX = ".digest";
  private static final String PARTIAL = ".partial";

  /** No file system's clock ticks more slowly. */
  private static final Duration SETTLED_AFTER = Duration.ofSeconds(3);

  private final Path folder;
  private final Clock clock;

  /**
   * @param folder is made when something is remembered
   */
  DigestMemory(Path folder, Clock clock) {
    this.folder = folder.toAbsolutePath().normalize();
    this.clock = clock;
  }

  /**
   * Which state of a file was read.
   *
   * @param text all that must be the same
   * @param changed when anything of it changed for the last time
   */
  record State(String text, Instant changed) {
    /** Empty where the system does not tell enough. */
    static Optional<State> of(Path file) {
      try {
        Map<String, Object> unix =
            Files.readAttributes(file, "unix:dev,ino,size,lastModifiedTime,ctime");
        FileTime modified = (FileTime) unix.get("lastModifiedTime");
        FileTime changed = (FileTime) unix.get("ctime");
        String text =
            "%s\n%s %s %s %s %s"
                .formatted(
                    file.toAbsolutePath().normalize(),
                    unix.get("dev"),
                    unix.get("ino"),
                    unix.get("size"),
                    modified.toInstant(),
                    changed.toInstant());
        Instant last = modified.compareTo(changed) > 0 ? modified.toInstant() : changed.toInstant();
        return Optional.of(new State(text, last));
      } catch (IOException | UnsupportedOperationException | IllegalArgumentException e) {
        return Optional.empty();
      }
    }
  }

  /** What is remembered of a file in that state. */
  Optional<FileContent> recall(Path file, State state) {
    try {
      List<String> lines = Files.readString(recordOf(file)).lines().toList();
      String head = FORMAT + "\n" + state.text;
      int first = (int) head.lines().count();
      if (lines.size() != first + 2
          || !String.join("\n", lines.subList(0, first)).equals(head)
          || !lines.get(first + 1).equals(seal(lines.subList(0, first + 1)))) {
        return Optional.empty();
      }
      return Optional.of(FileContent.parse(lines.get(first)));
    } catch (IOException | IllegalArgumentException e) {
      return Optional.empty(); // not there, as a rule; whatever it is, the file can be read again
    }
  }

  /**
   * Remembers what was read.
   *
   * @param state before it was read
   */
  void remember(Path file, State state, FileContent content) {
    if (state.changed.plus(SETTLED_AFTER).isAfter(clock.instant())
        || !State.of(file).equals(Optional.of(state))) {
      return;
    }
    List<String> lines = List.of(FORMAT, state.text, content.text());
    Path record = recordOf(file);
    Path partial = record.resolveSibling(record.getFileName() + "." + UUID.randomUUID() + PARTIAL);
    try {
      Files.createDirectories(folder);
      Files.writeString(partial, String.join("\n", lines) + "\n" + seal(lines) + "\n");
      Files.move(
          partial, record, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      LOG.warn("The digest of {} could not be kept in {}: {}", file, folder, e.toString());
    } finally {
      deleteQuietly(partial);
    }
  }

  private Path recordOf(Path file) {
    String name = file.toAbsolutePath().normalize().toString();
    return folder.resolve(
        Sha256.hex(name.getBytes(StandardCharsets.UTF_8)).substring(0, 32) + SUFFIX);
  }

  /** Half a record must not count. */
  private static String seal(List<String> lines) {
    return Sha256.hex(String.join("\n", lines).getBytes(StandardCharsets.UTF_8));
  }

  private static void deleteQuietly(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      LOG.warn("{} could not be deleted: {}", file, e.toString());
    }
  }
}
