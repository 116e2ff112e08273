/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.CRC32C;
import java.util.zip.CheckedOutputStream;

/**
 * The layout of a file of converted weights: tensors at multiples of 64 bytes, then a checksum
 * (CRC-32C) of each, then the checksum of these checksums and a mark.
 *
 * <p>The checksums are for disks and persons that damage a file, not for forgers: who may write to
 * the folder may as well write other weights there.
 */
final class ConvertedFile {
  /** What processors' widest loads and libtorch's own allocator align to. */
  static final int ALIGNMENT = 64;

  /** "weights1" in ASCII. */
  private static final long MARK = 0x3173_7468_6769_6577L;

  private static final int END_BYTES = Integer.BYTES + Long.BYTES;
  private static final int CHUNK_BYTES = 1 << 20;

  /** Where a tensor is in the file. */
  record Range(long offset, long bytes) {}

  /** The file is not what was written. */
  private static final class DamageException extends IOException {
    private static final long serialVersionUID = 1L;

    DamageException(String message) {
      super(message);
    }
  }

  private final Map<String, Range> ranges = new LinkedHashMap<>();
  private long end;

  /** Writes the content of a tensor. */
  @FunctionalInterface
  interface Source {
    void write(String tensor, OutputStream out) throws IOException;
  }

  /** Adds a tensor after the others. */
  void add(String tensor, long bytes) {
    long offset = aligned(end);
    ranges.put(tensor, new Range(offset, bytes));
    end = Math.addExact(offset, bytes);
  }

  private static long aligned(long position) {
    return Math.addExact(position, ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }

  boolean isEmpty() {
    return ranges.isEmpty();
  }

  Range range(String tensor) {
    return ranges.get(tensor);
  }

  /** Bytes of the whole file. */
  long size() {
    return aligned(end) + (long) Integer.BYTES * ranges.size() + END_BYTES;
  }

  /**
   * Writes all of it, in order and in small pieces.
   *
   * @param name of the network, for messages
   */
  void write(Path file, String name, Source source, StandardOpenOption... options)
      throws IOException {
    try (FileChannel channel = FileChannel.open(file, options)) {
      ByteBuffer checksums = checksums();
      for (var entry : ranges.entrySet()) {
        Range range = entry.getValue();
        channel.position(range.offset);
        CRC32C checksum = new CRC32C();
        OutputStream out =
            new CheckedOutputStream(
                new BufferedOutputStream(Channels.newOutputStream(channel), 1 << 18), checksum);
        source.write(entry.getKey(), out);
        out.flush();
        long written = channel.position() - range.offset;
        if (written != range.bytes) {
          throw new EngineException(
              "Parameter %s of %s has %d bytes where its shape needs %d."
                  .formatted(entry.getKey(), name, written, range.bytes));
        }
        checksums.putInt((int) checksum.getValue());
      }
      CRC32C ofAll = new CRC32C();
      ofAll.update(checksums.duplicate().flip());
      checksums.putInt((int) ofAll.getValue()).putLong(MARK).flip();
      channel.position(aligned(end));
      while (checksums.hasRemaining()) {
        channel.write(checksums);
      }
    }
  }

  private ByteBuffer checksums() {
    return ByteBuffer.allocate(Integer.BYTES * ranges.size() + END_BYTES)
        .order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Whether a file is there that was written to its end; its tensors are not read. */
  boolean isComplete(Path file) throws IOException {
    if (!Files.exists(file) || Files.size(file) != size()) {
      return false;
    }
    try (FileChannel channel = FileChannel.open(file)) {
      ByteBuffer checksums = readChecksums(channel);
      CRC32C ofAll = new CRC32C();
      ofAll.update(checksums.duplicate().limit(Integer.BYTES * ranges.size()));
      checksums.position(Integer.BYTES * ranges.size());
      return checksums.getInt() == (int) ofAll.getValue() && checksums.getLong() == MARK;
    }
  }

  private ByteBuffer readChecksums(FileChannel channel) throws IOException {
    ByteBuffer checksums = checksums();
    while (checksums.hasRemaining()) {
      if (channel.read(checksums, aligned(end) + checksums.position()) < 0) {
        throw new DamageException("the file became shorter while it was read");
      }
    }
    return checksums.flip();
  }

  /**
   * Reads all of it and compares checksums. A file that is damaged is deleted, so that the next
   * attempt writes it anew.
   *
   * @throws WeightsException naming the tensor, or why the file cannot be read; its cause says that
   *     another attempt may succeed
   */
  void verify(Path file) {
    try (FileChannel channel = FileChannel.open(file)) {
      ByteBuffer checksums = readChecksums(channel);
      ByteBuffer chunk = ByteBuffer.allocateDirect(CHUNK_BYTES);
      for (var entry : ranges.entrySet()) {
        if (checksum(channel, entry.getValue(), chunk) != checksums.getInt()) {
          throw new DamageException("the checksum of " + entry.getKey() + " is wrong");
        }
      }
    } catch (DamageException e) {
      String what = "it was deleted, and the next attempt writes it again";
      try {
        Files.deleteIfExists(file);
      } catch (IOException undeletable) {
        what = "delete it (" + undeletable + ")";
      }
      throw new WeightsException(
          "Converted weights %s are corrupt: %s; %s".formatted(file, e.getMessage(), what), e);
    } catch (IOException e) {
      throw new WeightsException(
          "Converted weights %s cannot be read to check them: %s".formatted(file, e), e);
    }
  }

  private static int checksum(FileChannel channel, Range range, ByteBuffer chunk)
      throws IOException {
    CRC32C checksum = new CRC32C();
    for (long at = range.offset; at < range.offset + range.bytes; ) {
      chunk.clear().limit((int) Math.min(CHUNK_BYTES, range.offset + range.bytes - at));
      int count = channel.read(chunk, at);
      if (count < 0) {
        throw new DamageException("the file became shorter");
      }
      checksum.update(chunk.flip());
      at += count;
    }
    return (int) checksum.getValue();
  }
}
