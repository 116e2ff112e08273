/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SeekableByteChannel;

/** The bytes of a DICOM file, wherever it is. Holds a window of it. Not thread-safe. */
final class DicomSource {
  private static final int WINDOW = 1 << 14;

  private final SeekableByteChannel channel;
  private final long size;
  private ByteBuffer window = ByteBuffer.allocate(0);
  private long windowAt;

  DicomSource(SeekableByteChannel channel) {
    this.channel = channel;
    try {
      this.size = channel.size();
    } catch (IOException e) {
      throw unreadable(e);
    }
  }

  static DicomSource of(byte[] file) {
    return new DicomSource(new ByteArrayChannel(file));
  }

  long size() {
    return size;
  }

  /** Two bytes as an unsigned number. */
  int unsignedShort(long at, ByteOrder order) {
    return in(at, 2).order(order).getShort((int) (at - windowAt)) & 0xFFFF;
  }

  int integer(long at, ByteOrder order) {
    return in(at, 4).order(order).getInt((int) (at - windowAt));
  }

  /** A copy of these bytes. */
  byte[] bytes(long at, int length) {
    require(at, length);
    byte[] bytes = new byte[length];
    if (length <= 256) {
      in(at, length).get((int) (at - windowAt), bytes);
    } else {
      fill(at, ByteBuffer.wrap(bytes));
    }
    return bytes;
  }

  private ByteBuffer in(long at, int length) {
    require(at, length);
    if (at < windowAt || at + length > windowAt + window.limit()) {
      ByteBuffer next = ByteBuffer.allocate((int) Math.min(WINDOW, size - at));
      fill(at, next);
      window = next.flip();
      windowAt = at;
    }
    return window;
  }

  void require(long at, long length) {
    if (at < 0 || length < 0 || length > size - at) {
      throw new ImageException(
          "Truncated DICOM file: %s bytes at %d are needed, but it ends at %d"
              .formatted(length < 0 ? "an invalid number of" : length, at, size));
    }
  }

  private void fill(long at, ByteBuffer into) {
    try {
      channel.position(at);
      while (into.hasRemaining()) {
        if (channel.read(into) < 0) {
          throw new ImageException(
              "Truncated DICOM file: it ended at %d while it was read"
                  .formatted(at + into.position()));
        }
      }
    } catch (IOException e) {
      throw unreadable(e);
    }
  }

  private static ImageException unreadable(IOException e) {
    return new ImageException("Cannot read the DICOM file: " + e.getMessage(), e);
  }
}
