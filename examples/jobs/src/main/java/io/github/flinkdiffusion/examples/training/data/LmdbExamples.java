/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;

/**
 * Images that are the values of an LMDB database, as LSUN has them, in the order of their keys. The
 * tree's pages are read once for where the values are.
 *
 * <p>Only what a database of plain keys and values has is read: version 1 of the format, little
 * endian, of 64 bits. Databases with duplicates or with named databases in them are refused.
 */
public final class LmdbExamples implements ExampleSet, AutoCloseable {
  private static final int MAGIC = 0xBEEFC0DE;
  private static final int VERSION = 1;

  /** Bytes before a page's content: its number, two of padding, flags, and its free part. */
  private static final int HEADER = 16;

  private static final int NODE_HEADER = 8;
  private static final int BRANCH = 0x01;
  private static final int LEAF = 0x02;
  private static final int META = 0x08;
  private static final int ON_OTHER_PAGES = 0x01;

  /** Of a database: its tree's root is behind the numbers of its pages and entries. */
  private static final int DATABASE_BYTES = 48;

  private static final int FREE_DATABASE = HEADER + 24;
  private static final int MAIN_DATABASE = FREE_DATABASE + DATABASE_BYTES;
  private static final int TRANSACTION = MAIN_DATABASE + DATABASE_BYTES + 8;
  private static final int META_BYTES = TRANSACTION + 8;
  private static final int MOST_VALUE_BYTES = 1 << 30;

  private final Path file;
  private final FileChannel channel;
  private final int pageSize;
  private final long pages;
  private final List<Place> places = new ArrayList<>();

  private record Place(long offset, int size) {}

  private LmdbExamples(Path file, FileChannel channel) throws IOException {
    this.file = file;
    this.channel = channel;
    ByteBuffer first = meta(0);
    int size = first.getInt(FREE_DATABASE);
    if (size < 512 || size > 65536 || Integer.bitCount(size) != 1) {
      throw damaged("pages of %d bytes; expected a power of 2 from 512 to 65536", size);
    }
    this.pageSize = size;
    this.pages = channel.size() / size;
    ByteBuffer second = meta(size);
    ByteBuffer newest = first.getLong(TRANSACTION) >= second.getLong(TRANSACTION) ? first : second;
    int flags = newest.getShort(MAIN_DATABASE + 4);
    long entries = newest.getLong(MAIN_DATABASE + 32);
    if (flags != 0) {
      throw damaged("a database with flags %04x; expected plain keys and values", flags);
    }
    if (entries < 1) {
      throw damaged("no entries");
    }
    walk(newest.getLong(MAIN_DATABASE + 40));
    if (places.size() != entries) {
      throw damaged("%d entries in its tree, %d in its header", places.size(), entries);
    }
  }

  /**
   * Opens a database.
   *
   * @param path its folder, which has {@code data.mdb}, or the file itself
   * @throws TrainingDataException naming what is wrong with it
   */
  public static LmdbExamples open(Path path) {
    Path file = Files.isDirectory(path) ? path.resolve("data.mdb") : path;
    try {
      FileChannel channel = FileChannel.open(file, StandardOpenOption.READ);
      try {
        return new LmdbExamples(file, channel);
      } catch (IOException | RuntimeException e) {
        channel.close();
        throw e;
      }
    } catch (IOException e) {
      throw new TrainingDataException("Database %s cannot be read: %s".formatted(file, e), e);
    }
  }

  private TrainingDataException damaged(String what, Object... arguments) {
    return new TrainingDataException(
        "LMDB database %s has %s.".formatted(file, what.formatted(arguments)));
  }

  private ByteBuffer meta(long offset) throws IOException {
    ByteBuffer meta = read(offset, META_BYTES);
    if ((meta.getShort(10) & META) == 0
        || meta.getInt(HEADER) != MAGIC
        || meta.getInt(HEADER + 4) != VERSION) {
      throw damaged("no header of version %d at byte %d", VERSION, offset);
    }
    return meta;
  }

  private ByteBuffer read(long offset, int length) throws IOException {
    if (offset < 0 || offset + length > channel.size()) {
      throw damaged(
          "%d bytes; bytes %d to %d are missing", channel.size(), offset, offset + length);
    }
    ByteBuffer buffer = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
    while (buffer.hasRemaining()) {
      if (channel.read(buffer, offset + buffer.position()) < 0) {
        throw damaged("become shorter");
      }
    }
    return buffer.flip();
  }

  /**
   * Leaves from left to right. A tree has no page twice, so more pages than there are are a loop.
   */
  private void walk(long root) throws IOException {
    Deque<Long> pending = new ArrayDeque<>();
    pending.push(root);
    long seen = 0;
    while (!pending.isEmpty()) {
      long number = pending.pop();
      if (number < 0 || number >= pages || ++seen > pages) {
        throw damaged("a tree that leads to page %d of %d", number, pages);
      }
      ByteBuffer page = read(number * pageSize, pageSize);
      int flags = page.getShort(10);
      int nodes = ((page.getShort(12) & 0xffff) - HEADER) / 2;
      if ((flags & (BRANCH | LEAF)) == 0 || nodes < 0 || HEADER + 2 * nodes > pageSize) {
        throw damaged("a tree with page %d of flags %04x", number, flags);
      }
      boolean leaf = (flags & LEAF) != 0;
      for (int i = 0; i < nodes; i++) {
        // Pushed from the right, so that the leftmost comes next.
        int node = page.getShort(HEADER + 2 * (leaf ? i : nodes - 1 - i)) & 0xffff;
        if (node + NODE_HEADER > pageSize) {
          throw damaged("a node at byte %d of page %d", node, number);
        }
        if (leaf) {
          add(page, number, node);
        } else {
          pending.push(
              (page.getShort(node) & 0xffffL)
                  | (page.getShort(node + 2) & 0xffffL) << 16
                  | (page.getShort(node + 4) & 0xffffL) << 32);
        }
      }
    }
  }

  private void add(ByteBuffer page, long number, int node) {
    long size = (page.getShort(node) & 0xffffL) | (page.getShort(node + 2) & 0xffffL) << 16;
    int flags = page.getShort(node + 4);
    int value = node + NODE_HEADER + (page.getShort(node + 6) & 0xffff);
    if ((flags & ~ON_OTHER_PAGES) != 0 || size > MOST_VALUE_BYTES) {
      throw damaged(
          "a value of %d bytes with flags %04x on page %d; expected plain ones up to %d bytes",
          size, flags, number, MOST_VALUE_BYTES);
    }
    boolean elsewhere = (flags & ON_OTHER_PAGES) != 0;
    if (value + (elsewhere ? Long.BYTES : size) > pageSize) {
      throw damaged("a value at byte %d of page %d", value, number);
    }
    long offset = elsewhere ? page.getLong(value) * pageSize + HEADER : number * pageSize + value;
    places.add(new Place(offset, (int) size));
  }

  @Override
  public int size() {
    return places.size();
  }

  @Override
  public Example at(int index) {
    Place place = places.get(index);
    try {
      byte[] bytes = read(place.offset(), place.size()).array();
      String name = "%s, value %d".formatted(file, index);
      return new Example(ImageFiles.read(bytes, name), "", Optional.empty());
    } catch (IOException e) {
      throw new TrainingDataException("Database %s cannot be read: %s".formatted(file, e), e);
    }
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      // It was only read.
    }
  }
}
