/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.List;

/** A file's bytes, in memory or on a disk, read where they are asked for. */
abstract class AssetBytes implements AutoCloseable {
  /** Some bytes of a file. */
  record Range(long start, long length) {
    long end() {
      return start + length;
    }
  }

  private static final int BUFFER = 1 << 16;

  static AssetBytes of(byte[] bytes) {
    return new AssetBytes() {
      @Override
      long size() {
        return bytes.length;
      }

      @Override
      void read(long at, byte[] into, int length) {
        System.arraycopy(bytes, (int) at, into, 0, length);
      }

      @Override
      public void close() {}
    };
  }

  static AssetBytes of(Path file) throws IOException {
    SeekableByteChannel channel = FileChannel.open(file, StandardOpenOption.READ);
    return new AssetBytes() {
      @Override
      long size() throws IOException {
        return channel.size();
      }

      @Override
      void read(long at, byte[] into, int length) throws IOException {
        channel.position(at);
        ByteBuffer buffer = ByteBuffer.wrap(into, 0, length);
        while (buffer.hasRemaining()) {
          if (channel.read(buffer) < 0) {
            throw new EOFException("The file ended at byte " + (at + buffer.position()));
          }
        }
      }

      @Override
      public void close() throws IOException {
        channel.close();
      }
    };
  }

  abstract long size() throws IOException;

  /** Bytes that are there. */
  abstract void read(long at, byte[] into, int length) throws IOException;

  @Override
  public abstract void close() throws IOException;

  /**
   * @throws CredentialsException if the file ends before
   */
  byte[] bytes(long at, long length) {
    try {
      if (at < 0 || length < 0 || length > size() - at || length > Integer.MAX_VALUE - 8) {
        throw new CredentialsException(
            "The file ends early: %d bytes are expected at byte %d of %d"
                .formatted(length, at, size()));
      }
      byte[] bytes = new byte[(int) length];
      read(at, bytes, (int) length);
      return bytes;
    } catch (IOException e) {
      throw new CredentialsException("The file cannot be read: " + e, e);
    }
  }

  ByteBuffer buffer(long at, long length, ByteOrder order) {
    return ByteBuffer.wrap(bytes(at, length)).order(order);
  }

  /** Digests all of it but these, which are in order and do not overlap. */
  void digestWithout(List<Range> left, MessageDigest digest) {
    try {
      byte[] buffer = new byte[BUFFER];
      long at = 0;
      for (Range range : append(left, new Range(size(), 0))) {
        while (at < range.start()) {
          int length = (int) Math.min(buffer.length, range.start() - at);
          read(at, buffer, length);
          digest.update(buffer, 0, length);
          at += length;
        }
        at = range.end();
      }
    } catch (IOException e) {
      throw new CredentialsException("The file cannot be read: " + e, e);
    }
  }

  private static List<Range> append(List<Range> ranges, Range last) {
    Range[] all = Arrays.copyOf(ranges.toArray(Range[]::new), ranges.size() + 1);
    all[ranges.size()] = last;
    return List.of(all);
  }
}
