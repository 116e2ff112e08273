/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * The folder that a run leaves its results in. Nothing that an earlier run has left is deleted or
 * written over, and a file is there with all of its bytes or not at all.
 */
final class OutputFolder {
  static final String LOG = "run.log";
  static final String SUMMARY_JSON = "summary.json";
  static final String SUMMARY_TEXT = "summary.txt";
  static final String CONTACT_SHEET = "contact-sheet.png";
  static final String PICTURES = "pictures";

  /** Where results go if nobody says where. */
  static final String STANDARD = "out";

  private static final int NAME_LENGTH = 60;
  private static final int MOST_RUNS = 10_000;
  private static final String PART = ".part";

  private final Path path;

  private OutputFolder(Path path) {
    this.path = path;
  }

  /**
   * Looks whether {@link #create} could make the folder, and touches nothing.
   *
   * @param path as given by the user; null for a new one beside earlier ones
   * @throws DemoException if there is something in it, or it cannot be made
   */
  static void check(Path path) {
    if (path == null) {
      return;
    }
    if (Files.exists(path) && !Files.isDirectory(path)) {
      throw new DemoException(
          "The output folder %s is a file; choose another one with --out.".formatted(path));
    }
    if (Files.isDirectory(path)) {
      try (Stream<Path> files = Files.list(path)) {
        if (files.findAny().isPresent()) {
          throw new DemoException(
              ("The output folder %s is not empty, and nothing in it is overwritten; choose another"
                      + " one with --out, or delete it.")
                  .formatted(path));
        }
      } catch (IOException e) {
        throw new OutputFolder(path).unwritable(e);
      }
    }
  }

  /**
   * Makes the folder.
   *
   * @param path as given by the user; null for {@value #STANDARD}, or {@code out-2} and so on if
   *     that is not empty
   * @throws DemoException if there is something in it, or it cannot be made
   */
  static OutputFolder create(Path path) {
    if (path != null) {
      check(path);
      return existing(path);
    }
    for (int number = 1; number <= MOST_RUNS; number++) {
      Path next = Path.of(number == 1 ? STANDARD : STANDARD + "-" + number);
      try {
        // Two runs that start together must not get the same one.
        Files.createDirectory(next);
        return new OutputFolder(next);
      } catch (FileAlreadyExistsException e) {
        // That is an earlier run's.
      } catch (IOException e) {
        throw new OutputFolder(next).unwritable(e);
      }
    }
    throw new DemoException(
        "%s to %s-%d are all there; delete some, or choose a folder with --out."
            .formatted(STANDARD, STANDARD, MOST_RUNS));
  }

  /**
   * Makes the folder if need be, and leaves alone what is in it.
   *
   * @throws DemoException when it cannot be made
   */
  static OutputFolder existing(Path path) {
    OutputFolder folder = new OutputFolder(path);
    try {
      Files.createDirectories(path);
      // A folder that is there may be another user's, or on a file system to read from only.
      Files.delete(Files.createTempFile(path, ".", PART));
    } catch (IOException e) {
      throw folder.unwritable(e);
    }
    return folder;
  }

  /** Name of a picture's file below this folder: its number and the beginning of its prompt. */
  static String pictureName(int number, String prompt) {
    String words =
        prompt
            .substring(0, Math.min(prompt.length(), NAME_LENGTH))
            .toLowerCase(Locale.ROOT)
            .replaceAll("[^a-z0-9]+", "-")
            .replaceAll("^-|-$", "");
    return String.format(
        Locale.ROOT, "%s/%03d%s.png", PICTURES, number, words.isEmpty() ? "" : "-" + words);
  }

  /**
   * Writes a file whole: on a disk that gets full, nothing of it is left.
   *
   * @param name below this folder
   * @throws DemoException naming the file, when it cannot be written
   */
  void write(String name, byte[] content) {
    write(name, ByteBuffer.wrap(content));
  }

  /** As {@link #write(String, byte[])}; the buffer's position stays. */
  void write(String name, ByteBuffer content) {
    Path file = path.resolve(name);
    Path part = file.resolveSibling(file.getFileName() + PART);
    try {
      Files.createDirectories(file.getParent());
      try (FileChannel out =
          FileChannel.open(
              part,
              StandardOpenOption.CREATE,
              StandardOpenOption.WRITE,
              StandardOpenOption.TRUNCATE_EXISTING)) {
        ByteBuffer bytes = content.duplicate();
        while (bytes.hasRemaining()) {
          out.write(bytes);
        }
      }
      Files.move(part, file, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      try {
        Files.deleteIfExists(part);
      } catch (IOException left) {
        e.addSuppressed(left);
      }
      throw new DemoException(
          "Cannot write %s: %s. Free space there, or choose another folder with --out."
              .formatted(file, reason(e)),
          e);
    }
  }

  Path path() {
    return path;
  }

  private DemoException unwritable(IOException e) {
    return new DemoException(
        Files.isDirectory(path)
            ? "Cannot write to the output folder %s: %s. Let the user '%s' write to it, or choose another one with --out."
                .formatted(path, reason(e), System.getProperty("user.name"))
            : "Cannot make the output folder %s: %s. Choose another one with --out."
                .formatted(path, reason(e)),
        e);
  }

  /** Some of Java's exceptions hold the file's name and nothing else. */
  private static String reason(IOException e) {
    if (e instanceof FileSystemException file) {
      return file.getReason() == null
          ? e.getClass().getSimpleName().replace("Exception", "")
          : file.getReason();
    }
    return e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
  }
}
