/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayDeque;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.stream.Stream;

/**
 * Folders that are full, read-only or gone for a while.
 *
 * <p>Full and read-only need mounts: an overlay whose upper layer is a small tmpfs that is full,
 * and a bind mount. They are only made where {@code examples/cluster/chaos} has given the run a
 * mount namespace of its own, which takes them along when it ends, whatever ends it. Elsewhere both
 * are stood in for by a folder that is gone: a plain file stands in its place.
 */
final class Breakage implements AutoCloseable {
  private static final boolean MOUNTS = "yes".equals(System.getenv("CHAOS_PRIVATE_MOUNTS"));

  /** What to do to heal, the last first. */
  private final Deque<Cure> cures = new ArrayDeque<>();

  private interface Cure {
    void apply() throws IOException, InterruptedException;
  }

  /** Whether full and read-only are what they are called. */
  static boolean mounts() {
    return MOUNTS;
  }

  /** For a round's detail: that a folder which should be full or read-only is gone. */
  static String standIn() {
    return MOUNTS ? "" : " (folder gone instead: no mounts here)";
  }

  /** What is there can be read, and nothing can be written. */
  void full(Path folder) throws IOException, InterruptedException {
    if (!MOUNTS) {
      gone(folder);
      return;
    }
    Path disk = Files.createDirectories(folder.resolveSibling(folder.getFileName() + ".full"));
    run("mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=64", "tmpfs", disk.toString());
    cures.push(
        () -> {
          run("umount", "-l", disk.toString());
          Files.delete(disk);
        });
    Path upper = Files.createDirectory(disk.resolve("upper"));
    Path work = Files.createDirectory(disk.resolve("work"));
    run(
        "mount",
        "-t",
        "overlay",
        "overlay",
        "-o",
        "lowerdir=%s,upperdir=%s,workdir=%s".formatted(folder, upper, work),
        folder.toString());
    cures.push(() -> run("umount", "-l", folder.toString()));
    try {
      Files.write(disk.resolve("filler"), new byte[1 << 17]);
    } catch (IOException e) {
      return; // full, as was wanted
    }
    throw new IOException(disk + " is not full");
  }

  /** What is there can be read. */
  void readOnly(Path folder) throws IOException, InterruptedException {
    if (!MOUNTS) {
      gone(folder);
      return;
    }
    run("mount", "--bind", folder.toString(), folder.toString());
    cures.push(() -> run("umount", "-l", folder.toString()));
    run("mount", "-o", "remount,bind,ro", folder.toString());
  }

  /** Nothing is there, and nothing can be made there. */
  void gone(Path folder) throws IOException {
    Path away = folder.resolveSibling(folder.getFileName() + ".away");
    Files.move(folder, away);
    cures.push(
        () -> {
          Files.deleteIfExists(folder);
          Files.move(away, folder);
        });
    Files.createFile(folder);
  }

  /**
   * What is in a folder is taken out of it for a while, so that all of it has to be written anew.
   */
  void emptied(Path folder) throws IOException {
    Path kept = kept(folder);
    Files.move(folder, kept);
    cures.push(() -> putBack(folder));
    Files.createDirectory(folder);
  }

  private static Path kept(Path folder) {
    return folder.resolveSibling(folder.getFileName() + ".kept");
  }

  private static void putBack(Path folder) throws IOException {
    Path kept = kept(folder);
    try (Stream<Path> files = Files.walk(kept)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Path target = folder.resolve(kept.relativize(file).toString());
        if (Files.isDirectory(file)) {
          Files.delete(file);
        } else {
          Files.createDirectories(target.getParent());
          Files.move(file, target, StandardCopyOption.REPLACE_EXISTING);
        }
      }
    }
  }

  /** Each call to {@link SlowFileSystem} takes so long. */
  void slow(Path delayFile, int millis) throws IOException {
    Path written = delayFile.resolveSibling(delayFile.getFileName() + ".new");
    Files.writeString(written, Integer.toString(millis));
    cures.push(() -> Files.deleteIfExists(delayFile));
    Files.move(written, delayFile);
  }

  /** A run that was killed may have left this: heals it before anything else is broken. */
  static void healLeftover(Path folder) throws IOException {
    Path away = folder.resolveSibling(folder.getFileName() + ".away");
    if (Files.isDirectory(away)) {
      Files.deleteIfExists(folder);
      Files.move(away, folder);
    }
    if (Files.isDirectory(kept(folder))) {
      putBack(folder);
    }
  }

  private static void run(String... command) throws IOException, InterruptedException {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes());
    if (process.waitFor() != 0) {
      throw new IOException(List.of(command) + ": " + output);
    }
  }

  /** Heals everything. */
  @Override
  public void close() throws IOException, InterruptedException {
    while (!cures.isEmpty()) {
      cures.pop().apply();
    }
  }
}
