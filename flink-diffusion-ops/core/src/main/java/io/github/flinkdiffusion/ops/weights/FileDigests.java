/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;

/**
 * SHA-256 of whole files, each computed once: a model's digest and the names of its converted
 * weights are made of the same gigabytes, and the same reading looks for numbers that are not
 * finite. What is known lives as long as this object, which is to say while one model is open, and
 * longer in a {@link DigestMemory}; it counts only for the very file that was read: should it be
 * replaced or written meanwhile, its {@link Stamp} tells.
 */
final class FileDigests {
  /** What changes when a file is replaced or written. */
  record Stamp(Object fileKey, long size, FileTime modified) {
    static Stamp of(Path file) throws IOException {
      BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
      return new Stamp(attributes.fileKey(), attributes.size(), attributes.lastModifiedTime());
    }
  }

  /** Bytes read at a time; a multiple of every element's size. */
  private static final int CHUNK_BYTES = 1 << 20;

  /**
   * Elements in a file.
   *
   * @param info what they are
   * @param begin position of the first byte
   */
  record Region(TensorInfo info, long begin) {}

  private record Known(Stamp stamp, FileContent content) {}

  private final Map<Path, Opened> opened = new ConcurrentHashMap<>();
  private final Map<Path, String> pinned = new ConcurrentHashMap<>();
  private final Map<Path, Known> known = new ConcurrentHashMap<>();

  /** So that a thread that wants a digest waits for another that makes it. */
  private final Map<Path, Object> reading = new ConcurrentHashMap<>();

  private volatile Optional<DigestMemory> memory = Optional.empty();

  /** Remembers what is read in a folder, and trusts what was remembered there. */
  void rememberIn(DigestMemory folder) {
    memory = Optional.of(folder);
  }

  /** A file that is open: what it is read from, whatever becomes of its name. */
  private record Opened(Stamp stamp, FileChannel channel) {}

  /**
   * Takes a file that tensors are read from. While its channel is open, its content is read there,
   * so a file that is replaced by a rename is still the one that was opened.
   */
  void opened(Path file, Stamp stamp, FileChannel channel) {
    opened.put(file, new Opened(stamp, channel));
  }

  /** Closes the files that were opened, which are then read under their names. */
  void release() {
    for (Opened open : opened.values()) {
      try {
        open.channel.close();
      } catch (IOException e) {
        // It was read from alone.
      }
    }
  }

  /** Reads a small file now, for a digest that is asked for later. */
  void pin(Path file) {
    pinned.computeIfAbsent(file, this::digest);
  }

  /** The digest of a file as it was opened or pinned, else as it is now. */
  String digest(Path file) {
    String early = pinned.get(file);
    if (early != null) {
      return early;
    }
    try {
      Opened open = opened.get(file);
      return content(file, open == null ? Stamp.of(file) : open.stamp).digest();
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  /**
   * The digest of a file as it was when it had this stamp.
   *
   * @throws WeightsException if it is no longer that file
   */
  String digest(Path file, Stamp stamp) {
    String digest = content(file, stamp).digest();
    checkUnchanged(file, stamp);
    return digest;
  }

  /**
   * What a file held when it had this stamp.
   *
   * @throws WeightsException if it has been written to since, or was replaced and is not open
   */
  FileContent content(Path file, Stamp stamp) {
    synchronized (reading.computeIfAbsent(file, path -> new Object())) {
      Known before = known.get(file);
      if (before != null && before.stamp.equals(stamp)) {
        checkNotWritten(file, stamp);
        return before.content;
      }
      try {
        Opened open = opened.get(file);
        FileContent content;
        if (open != null && open.stamp.equals(stamp) && open.channel.isOpen()) {
          content = recallOrRead(file, open.channel);
          checkNotWritten(file, stamp);
        } else {
          try (FileChannel channel = FileChannel.open(file)) {
            content = recallOrRead(file, channel);
          }
          checkUnchanged(file, stamp);
        }
        known.put(file, new Known(stamp, content));
        return content;
      } catch (IOException e) {
        throw unreadable(file, e);
      }
    }
  }

  /**
   * @throws WeightsException if a file that was opened has been written to since; one that was
   *     replaced by a rename is as it was
   */
  void requireNotWritten() {
    opened.forEach((file, open) -> checkNotWritten(file, open.stamp));
  }

  private FileContent recallOrRead(Path file, FileChannel channel) throws IOException {
    Optional<DigestMemory> asked = memory;
    Optional<DigestMemory.State> state = asked.flatMap(any -> DigestMemory.State.of(file));
    Optional<FileContent> remembered = state.flatMap(now -> asked.get().recall(file, now));
    if (remembered.isPresent()) {
      return remembered.get();
    }
    FileContent content = read(file, channel);
    if (state.isPresent() && content.isWorthRemembering()) {
      asked.get().remember(file, state.get(), content);
    }
    return content;
  }

  /**
   * @throws WeightsException if the file under this name does not have this stamp; another attempt
   *     may succeed
   */
  static void checkUnchanged(Path file, Stamp stamp) {
    try {
      if (!Stamp.of(file).equals(stamp)) {
        throw changed(file);
      }
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  private static void checkNotWritten(Path file, Stamp stamp) {
    try {
      Stamp now = Stamp.of(file);
      if (Objects.equals(now.fileKey, stamp.fileKey) && !now.equals(stamp)) {
        throw changed(file);
      }
    } catch (NoSuchFileException e) {
      // Who has it open still reads it.
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  private static WeightsException changed(Path file) {
    String what =
        "File %s changed while its model was being loaded; load it again when it is complete"
            .formatted(file);
    // The cause says that another attempt may succeed.
    return new WeightsException(what, new IOException(what));
  }

  /** Reads each byte once, for the digest and for numbers that are not finite. */
  private static FileContent read(Path file, FileChannel channel) throws IOException {
    List<Region> regions =
        file.toString().endsWith(".safetensors") ? Safetensors.regions(file, channel) : List.of();
    Sha256 sha256 = new Sha256();
    ByteBuffer chunk = ByteBuffer.allocate(CHUNK_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    Set<String> notFinite = new HashSet<>();
    channel.position(0);
    for (Region region : regions) {
      read(channel, region.begin, chunk, sha256, any -> {});
      long end = region.begin + region.info.byteLength();
      read(
          channel,
          end,
          chunk,
          sha256,
          elements -> {
            if (FiniteChannel.firstNonFinite(region.info.dtype(), elements) >= 0) {
              notFinite.add(region.info.name());
            }
          });
    }
    read(channel, Long.MAX_VALUE, chunk, sha256, any -> {});
    return new FileContent(
        sha256.hex(), regions.isEmpty() ? Optional.empty() : Optional.of(notFinite));
  }

  /** Reads up to a position, or to the file's end, in full chunks. */
  private static void read(
      FileChannel channel, long end, ByteBuffer chunk, Sha256 sha256, Consumer<ByteBuffer> use)
      throws IOException {
    while (channel.position() < end) {
      chunk.clear().limit((int) Math.min(CHUNK_BYTES, end - channel.position()));
      while (chunk.hasRemaining() && channel.read(chunk) >= 0) {
        // goes on until it is full, so that no element is in two of them
      }
      if (chunk.position() == 0) {
        return;
      }
      chunk.flip();
      use.accept(chunk.duplicate().order(ByteOrder.LITTLE_ENDIAN));
      sha256.bytes(chunk);
    }
  }

  private static WeightsException unreadable(Path file, IOException e) {
    return new WeightsException("Cannot read " + file + " for the model's digest: " + e, e);
  }
}
