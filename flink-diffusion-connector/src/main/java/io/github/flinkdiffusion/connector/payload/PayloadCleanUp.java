/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.payload;

import io.github.flinkdiffusion.connector.event.PayloadReference;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.IntConsumer;
import org.apache.flink.annotation.Internal;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;

/**
 * Deletes payloads that no event names: what attempts have left that were taken back, and what
 * topics have named once and deleted since.
 *
 * <p>The order makes it safe. First the store is listed, then the topics are read to the end that
 * they have after that; so an event that was committed before is seen, and a payload that is being
 * written now is too young to be listed. An event that is not committed yet is not seen, therefore
 * the age: it must be a day longer than a payload can wait for its event (the day after which one
 * that is used again is marked). That is how long a transaction may be open, and how long a job may
 * rest in a savepoint with finished results in its state.
 *
 * <pre>{@code
 * PayloadCleanUp cleanUp = PayloadCleanUp.list("s3://bucket/payloads", Duration.ofDays(7), done -> {});
 * events.forEach(event -> Payloads.references(event).forEach(cleanUp::keep));
 * PayloadCleanUp.Deleted deleted = cleanUp.delete(done -> {});
 * }</pre>
 */
@Internal
public final class PayloadCleanUp {
  /** Younger payloads are never deleted: one that is used again is marked after half of it. */
  public static final Duration LEAST_AGE = PayloadStore.MARK_AFTER.multipliedBy(2);

  private static final int FOLDERS = 256;

  private final FileSystem fileSystem;
  private final StoreLayout layout;
  private final long oldBefore;
  private final int kept;
  private final Map<String, Long> oldPayloads;
  private final Set<String> named = new HashSet<>();
  private final List<FileStatus> unfinished;

  /**
   * Some of the store's files.
   *
   * @param count of files
   * @param bytes in all
   */
  public record Amount(long count, long bytes) {
    static final Amount NONE = new Amount(0, 0);

    Amount plus(long length) {
      return new Amount(count + 1, bytes + length);
    }
  }

  /**
   * What was taken away.
   *
   * @param payloads that no event names
   * @param unfinished leftovers of writers that died
   */
  public record Deleted(Amount payloads, Amount unfinished) {}

  private PayloadCleanUp(
      FileSystem fileSystem,
      StoreLayout layout,
      long oldBefore,
      int kept,
      Map<String, Long> oldPayloads,
      List<FileStatus> unfinished) {
    this.fileSystem = fileSystem;
    this.layout = layout;
    this.oldBefore = oldBefore;
    this.kept = kept;
    this.oldPayloads = oldPayloads;
    this.unfinished = unfinished;
  }

  /**
   * Looks up which files are old. Files that are none of the store's are left out of everything.
   *
   * @param storeUri {@link PayloadOptions#STORE}
   * @param age payloads that were written or used again more recently are kept
   * @param progress gets the number of folders done, of 256
   * @throws PayloadException when the age is too short or the store cannot be listed
   */
  public static PayloadCleanUp list(String storeUri, Duration age, IntConsumer progress) {
    return list(storeUri, age, progress, FileSystem::get, Clock.systemUTC());
  }

  static PayloadCleanUp list(
      String storeUri,
      Duration age,
      IntConsumer progress,
      PayloadStore.FileSystems fileSystems,
      Clock clock) {
    if (age.compareTo(LEAST_AGE) < 0) {
      throw new PayloadException(
          PayloadException.Kind.SETTINGS,
          "Payloads may be deleted when they are %d hours old or older, not %d: an event that names one may not be committed yet."
              .formatted(LEAST_AGE.toHours(), age.toHours()));
    }
    StoreLayout layout = new StoreLayout(Location.parseFolder(storeUri));
    long oldBefore = clock.millis() - age.toMillis();
    int kept = 0;
    Map<String, Long> old = new HashMap<>();
    List<FileStatus> unfinished = new ArrayList<>();
    try {
      FileSystem fileSystem = fileSystems.get(layout.root().toUri());
      int folders = 0;
      for (FileStatus folder : children(fileSystem, layout.root())) {
        if (!folder.isDir() || !StoreLayout.isFolder(folder.getPath().getName())) {
          continue;
        }
        Set<String> marked = new HashSet<>();
        Map<String, Long> oldHere = new HashMap<>();
        for (FileStatus file : children(fileSystem, folder.getPath())) {
          String name = file.getPath().getName();
          boolean isOld = file.getModificationTime() < oldBefore;
          if (StoreLayout.isDigest(name)) {
            if (isOld) {
              oldHere.put(name, file.getLen());
            } else {
              kept++;
            }
          } else if (!isOld) {
            StoreLayout.marked(name).ifPresent(marked::add);
          } else if (StoreLayout.isUnfinished(name)) {
            unfinished.add(file);
          }
        }
        int before = oldHere.size();
        oldHere.keySet().removeAll(marked);
        kept += before - oldHere.size();
        old.putAll(oldHere);
        progress.accept(Math.min(++folders, FOLDERS));
      }
      return new PayloadCleanUp(fileSystem, layout, oldBefore, kept, old, unfinished);
    } catch (IOException e) {
      throw new PayloadException(
          PayloadException.Kind.UNAVAILABLE,
          "Cannot list the store %s: %s.".formatted(storeUri, e),
          e);
    }
  }

  private static Collection<FileStatus> children(FileSystem fileSystem, Path folder)
      throws IOException {
    FileStatus[] children = fileSystem.listStatus(folder);
    if (children == null) { // as some file systems say it
      throw new FileNotFoundException(folder + " does not exist");
    }
    return List.of(children);
  }

  /** An event names this payload: it stays. By its digest alone, however the store is called. */
  public void keep(PayloadReference reference) {
    if (oldPayloads.containsKey(reference.getSha256())) {
      named.add(reference.getSha256());
    }
  }

  /** Payloads that are too young or were used again lately. */
  public int young() {
    return kept;
  }

  /** Old payloads that an event names. */
  public Amount named() {
    return named.stream()
        .map(oldPayloads::get)
        .reduce(
            Amount.NONE, Amount::plus, (a, b) -> new Amount(a.count + b.count, a.bytes + b.bytes));
  }

  /** What {@link #delete} would take away. */
  public Deleted wouldDelete() {
    Amount payloads = Amount.NONE;
    for (Map.Entry<String, Long> payload : oldPayloads.entrySet()) {
      if (!named.contains(payload.getKey())) {
        payloads = payloads.plus(payload.getValue());
      }
    }
    Amount leftovers = Amount.NONE;
    for (FileStatus file : unfinished) {
      leftovers = leftovers.plus(file.getLen());
    }
    return new Deleted(payloads, leftovers);
  }

  /**
   * Deletes what no event names. Each file is looked at once more, since it may have been used
   * again since it was listed.
   *
   * @param progress gets the number of files done
   * @throws PayloadException when a file cannot be deleted; the others stay, run it again
   */
  public Deleted delete(IntConsumer progress) {
    Amount payloads = Amount.NONE;
    Amount leftovers = Amount.NONE;
    int done = 0;
    try {
      for (Map.Entry<String, Long> payload : oldPayloads.entrySet()) {
        String digest = payload.getKey();
        if (named.contains(digest)) {
          continue;
        }
        if (isStillOld(layout.payload(digest)) && isStillOld(layout.mark(digest))) {
          // The mark goes first: without its payload it would never be found again.
          fileSystem.delete(layout.mark(digest), false);
          fileSystem.delete(layout.payload(digest), false);
          payloads = payloads.plus(payload.getValue());
        }
        progress.accept(++done);
      }
      for (FileStatus file : unfinished) {
        fileSystem.delete(file.getPath(), false);
        leftovers = leftovers.plus(file.getLen());
        progress.accept(++done);
      }
      return new Deleted(payloads, leftovers);
    } catch (IOException e) {
      throw new PayloadException(
          PayloadException.Kind.UNAVAILABLE,
          "Cannot delete from the store %s after %d files: %s.".formatted(layout.root(), done, e),
          e);
    }
  }

  /** Also when it is not there. */
  private boolean isStillOld(Path file) throws IOException {
    try {
      return fileSystem.getFileStatus(file).getModificationTime() < oldBefore;
    } catch (FileNotFoundException e) {
      return true;
    }
  }
}
