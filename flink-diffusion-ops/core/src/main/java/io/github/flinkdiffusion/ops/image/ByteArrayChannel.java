/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.util.Arrays;

/** A file in memory, which grows as it is written. */
final class ByteArrayChannel implements SeekableByteChannel {
  private byte[] bytes;
  private int size;
  private long position;

  /** Holds these bytes, which are copied once something is written. */
  ByteArrayChannel(byte[] bytes) {
    this.bytes = bytes;
    this.size = bytes.length;
  }

  byte[] toByteArray() {
    return Arrays.copyOf(bytes, size);
  }

  @Override
  public int read(ByteBuffer target) {
    if (position >= size) {
      return -1;
    }
    int length = (int) Math.min(target.remaining(), size - position);
    target.put(bytes, (int) position, length);
    position += length;
    return length;
  }

  @Override
  public int write(ByteBuffer source) {
    int length = source.remaining();
    long end = position + length;
    if (end > Integer.MAX_VALUE - 8) {
      throw new ImageException(
          "A file in memory of %d bytes; at most 2 GiB are possible".formatted(end));
    }
    if (end > bytes.length) {
      bytes = Arrays.copyOf(bytes, (int) Math.min(Integer.MAX_VALUE - 8, Math.max(end, 2L * size)));
    }
    source.get(bytes, (int) position, length);
    position = end;
    size = (int) Math.max(size, end);
    return length;
  }

  @Override
  public long position() {
    return position;
  }

  @Override
  public SeekableByteChannel position(long newPosition) {
    position = newPosition;
    return this;
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public SeekableByteChannel truncate(long newSize) {
    size = (int) Math.min(size, newSize);
    return this;
  }

  @Override
  public boolean isOpen() {
    return true;
  }

  @Override
  public void close() {}
}
