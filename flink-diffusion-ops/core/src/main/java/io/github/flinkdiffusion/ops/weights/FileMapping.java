/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.util.ArrayList;
import java.util.List;

/**
 * The end of a file of any size, memory-mapped read-only. A mapping is a ByteBuffer, so it has
 * several of below 2 GiB, each of which reaches a little into the next one: a unit (an element, or
 * a block of quantized ones) that begins in one can be read from it whole.
 */
final class FileMapping {
  static final long SEGMENT_BYTES = 1L << 30;

  /** Of the largest unit. */
  private static final int MAX_UNIT_BYTES = 512;

  private final long segmentBytes;
  private final ByteBuffer[] segments;

  private FileMapping(long segmentBytes, ByteBuffer[] segments) {
    this.segmentBytes = segmentBytes;
    this.segments = segments;
  }

  /**
   * @param start where the mapped bytes begin in the file; they end with it
   * @param segmentBytes of one mapping
   */
  static FileMapping of(FileChannel channel, long start, long segmentBytes) throws IOException {
    long bytes = channel.size() - start;
    ByteBuffer[] segments =
        new ByteBuffer[Math.toIntExact((bytes + segmentBytes - 1) / segmentBytes)];
    for (int i = 0; i < segments.length; i++) {
      long begin = i * segmentBytes;
      long length = Math.min(segmentBytes + MAX_UNIT_BYTES, bytes - begin);
      segments[i] = channel.map(FileChannel.MapMode.READ_ONLY, start + begin, length);
    }
    return new FileMapping(segmentBytes, segments);
  }

  /**
   * Bytes as few buffers, little-endian.
   *
   * @param begin counted from the mapping's start
   * @param unitBytes what is not split over two buffers; the range is a multiple of it
   */
  List<ByteBuffer> slices(long begin, long end, int unitBytes) {
    List<ByteBuffer> slices = new ArrayList<>(1);
    for (long at = begin; at < end; ) {
      int segment = (int) (at / segmentBytes);
      long offset = at % segmentBytes;
      // Up to the last unit that begins in this segment.
      long units = (segmentBytes - offset + unitBytes - 1) / unitBytes;
      long length = Math.min(units * unitBytes, end - at);
      slices.add(
          segments[segment].slice((int) offset, (int) length).order(ByteOrder.LITTLE_ENDIAN));
      at += length;
    }
    return slices;
  }
}
