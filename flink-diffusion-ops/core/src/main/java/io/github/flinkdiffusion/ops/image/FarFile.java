/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.NonWritableChannelException;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.flink.annotation.Internal;

/**
 * A file that is far away. What a directory says in a few bytes here and there is read by pages
 * that are kept, so that a header costs some requests and not some hundred. Longer reads, such as
 * tiles, are made as they are, and kept in a file of this machine that is gone with the process:
 * however often a tile is unpacked, it is fetched once. Not thread-safe.
 */
@Internal
public final class FarFile implements SeekableByteChannel {
  /** Of what is read at once; the header of a common Cloud Optimized GeoTIFF. */
  private static final int PAGE_BYTES = 1 << 14;

  /** Longer reads are no part of a directory, or are a list of their own. */
  private static final int SHORT_BYTES = 512;

  private static final int MOST_PAGES = 64;

  /**
   * A long read that was made.
   *
   * @param at its place in the file of this machine
   */
  private record Kept(int length, long at) {}

  private final SeekableByteChannel file;
  private final Path scratch;
  private final long size;
  private final Map<Long, ByteBuffer> pages = new LinkedHashMap<>(16, 0.75f, true);
  private final Map<Long, Kept> kept = new HashMap<>();

  /** Null before the first long read. */
  private FileChannel local;

  private long localBytes;
  private long position;

  /**
   * @param file closed with this one
   * @param scratch folder for what is kept: as many bytes as are read, at most
   */
  public FarFile(SeekableByteChannel file, Path scratch) throws IOException {
    this.file = file;
    this.scratch = scratch;
    this.size = file.size();
  }

  @Override
  public int read(ByteBuffer target) throws IOException {
    if (!target.hasRemaining()) {
      return 0;
    }
    if (position >= size) {
      return -1;
    }
    int count = (int) Math.min(target.remaining(), size - position);
    if (count > SHORT_BYTES) {
      readLong(target, count);
    } else {
      ByteBuffer page = page(position / PAGE_BYTES);
      int at = (int) (position % PAGE_BYTES);
      count = Math.min(count, page.limit() - at);
      target.put(target.position(), page, at, count);
      target.position(target.position() + count);
    }
    position += count;
    return count;
  }

  private void readLong(ByteBuffer target, int count) throws IOException {
    Kept before = kept.get(position);
    ByteBuffer part = target.slice(target.position(), count);
    if (before != null && before.length >= count) {
      for (long at = before.at; part.hasRemaining(); ) {
        int read = local.read(part, at);
        if (read < 0) {
          throw new IOException("a file of this machine ended at " + at);
        }
        at += read;
      }
    } else {
      readWhole(part, position);
      if (local == null) {
        local =
            FileChannel.open(
                Files.createTempFile(scratch, "ranges-", ""),
                StandardOpenOption.READ,
                StandardOpenOption.WRITE,
                StandardOpenOption.DELETE_ON_CLOSE);
      }
      long begin = localBytes;
      part.flip();
      while (part.hasRemaining()) {
        localBytes += local.write(part, localBytes);
      }
      kept.put(position, new Kept(count, begin));
    }
    target.position(target.position() + count);
  }

  private ByteBuffer page(long number) throws IOException {
    ByteBuffer page = pages.get(number);
    if (page == null) {
      long from = number * PAGE_BYTES;
      page = ByteBuffer.allocate((int) Math.min(PAGE_BYTES, size - from));
      readWhole(page, from);
      page.flip();
      if (pages.size() == MOST_PAGES) {
        var eldest = pages.entrySet().iterator();
        eldest.next();
        eldest.remove();
      }
      pages.put(number, page);
    }
    return page;
  }

  private void readWhole(ByteBuffer target, long from) throws IOException {
    file.position(from);
    while (target.hasRemaining()) {
      if (file.read(target) < 0) {
        throw new ImageException("Truncated image file: it became shorter while it was read");
      }
    }
  }

  @Override
  public long position() {
    return position;
  }

  @Override
  public FarFile position(long newPosition) {
    position = newPosition;
    return this;
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public int write(ByteBuffer source) {
    throw new NonWritableChannelException();
  }

  @Override
  public SeekableByteChannel truncate(long newSize) {
    throw new NonWritableChannelException();
  }

  @Override
  public boolean isOpen() {
    return file.isOpen();
  }

  @Override
  public void close() throws IOException {
    try (FileChannel both = local) {
      file.close();
    }
  }
}
