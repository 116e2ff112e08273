/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SeekableByteChannel;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The tags of one page of a TIFF or BigTIFF file, each checked to lie inside of the file before
 * memory is taken for it. Nothing is said yet of whether they make sense together.
 */
final class TiffDirectory {
  static final int CLASSIC = 42;
  static final int BIG = 43;

  /** More pages than any program writes; a file that points in a circle ends here. */
  private static final int MAX_DIRECTORIES = 1 << 16;

  /** More tags than any program writes. */
  private static final int MAX_TAGS = 4096;

  /** More than any tag but those of blocks' places holds. */
  private static final int MAX_VALUE_BYTES = 64 << 20;

  private record Entry(TiffType type, long count, long valueAt) {}

  private final SeekableByteChannel channel;
  private final ByteOrder order;
  private final Map<Integer, Entry> entries;

  private TiffDirectory(SeekableByteChannel channel, ByteOrder order, Map<Integer, Entry> entries) {
    this.channel = channel;
    this.order = order;
    this.entries = entries;
  }

  /** Whether a file begins as a TIFF file does. */
  static boolean recognises(byte[] file) {
    if (file.length < 8 || file[0] != file[1] || (file[0] != 'I' && file[0] != 'M')) {
      return false;
    }
    int version = ByteBuffer.wrap(file).order(order(file[0])).getShort(2);
    return version == CLASSIC || version == BIG;
  }

  private static ByteOrder order(byte mark) {
    return mark == 'I' ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN;
  }

  /**
   * Reads the tags of a page and of what belongs to it: the directories after it, up to the next
   * page, that hold the same image reduced, or masks.
   *
   * @param page from 0; in a file of reduced images alone, each of them is a page
   * @return the page first
   */
  static List<TiffDirectory> read(SeekableByteChannel channel, int page) throws IOException {
    byte[] start = bytes(channel, 0, (int) Math.min(16, channel.size()));
    if (!recognises(start)) {
      throw new ImageException(
          "Not a TIFF file: its %d bytes do not begin with the signature"
              .formatted(channel.size()));
    }
    ByteOrder order = order(start[0]);
    ByteBuffer header = ByteBuffer.wrap(start).order(order);
    boolean big = header.getShort(2) == BIG;
    if (big && (start.length < 16 || header.getShort(4) != 8)) {
      throw new ImageException("Corrupt TIFF file: its header is not that of a BigTIFF file");
    }
    long at = big ? header.getLong(8) : Integer.toUnsignedLong(header.getInt(4));
    List<TiffDirectory> found = new ArrayList<>();
    List<TiffDirectory> parts = new ArrayList<>();
    int pages = 0;
    // A circle of directories ends here too: they are counted, and each costs a small read.
    for (int seen = 0; at != 0 && seen < MAX_DIRECTORIES; seen++) {
      TiffDirectory directory = new TiffDirectory(channel, order, entries(channel, at, order, big));
      boolean part = directory.subfileType() != 0;
      if (part && pages == 0) {
        parts.add(directory);
      } else if (part && pages == page + 1) {
        found.add(directory);
      } else if (!part) {
        if (pages == page + 1) {
          break;
        }
        if (pages++ == page) {
          found.add(directory);
        }
      }
      at = next(channel, at, order, big);
    }
    if (found.isEmpty() && pages == 0 && page < parts.size()) {
      return List.of(parts.get(page));
    }
    if (found.isEmpty()) {
      throw new ImageException(
          "The TIFF file has no page %d; it has %d, counted from 0"
              .formatted(page, pages == 0 ? parts.size() : pages));
    }
    return found;
  }

  /** Whether it is a reduced image or a mask, as bits; 0 for a page. */
  int subfileType() throws IOException {
    return integer(Tiff.SUBFILE_TYPE, 0) & (Tiff.REDUCED | Tiff.MASK);
  }

  private static int tags(SeekableByteChannel channel, long at, ByteOrder order, boolean big)
      throws IOException {
    ByteBuffer head = ByteBuffer.wrap(bytes(channel, at, big ? 8 : 2)).order(order);
    long tags = big ? head.getLong() : head.getShort() & 0xFFFF;
    if (tags < 1 || tags > MAX_TAGS) {
      throw new ImageException(
          "Corrupt TIFF file: a directory of %s tags; 1 to %d are accepted"
              .formatted(Long.toUnsignedString(tags), MAX_TAGS));
    }
    return (int) tags;
  }

  private static long next(SeekableByteChannel channel, long at, ByteOrder order, boolean big)
      throws IOException {
    int tags = tags(channel, at, order, big);
    ByteBuffer next =
        ByteBuffer.wrap(bytes(channel, at + (big ? 8 : 2) + tags * (big ? 20L : 12L), big ? 8 : 4))
            .order(order);
    return big ? next.getLong() : Integer.toUnsignedLong(next.getInt());
  }

  private static Map<Integer, Entry> entries(
      SeekableByteChannel channel, long at, ByteOrder order, boolean big) throws IOException {
    int tags = tags(channel, at, order, big);
    int size = big ? 20 : 12;
    long from = at + (big ? 8 : 2);
    ByteBuffer table = ByteBuffer.wrap(bytes(channel, from, tags * size)).order(order);
    Map<Integer, Entry> entries = new LinkedHashMap<>();
    for (int i = 0; i < tags; i++) {
      int start = i * size;
      int number = table.getShort(start) & 0xFFFF;
      Optional<TiffType> type = TiffType.ofCode(table.getShort(start + 2) & 0xFFFF);
      if (type.isEmpty()) {
        continue;
      }
      long count = big ? table.getLong(start + 4) : Integer.toUnsignedLong(table.getInt(start + 4));
      if (count < 0 || count > channel.size() / type.get().bytes()) {
        throw new ImageException(
            "Corrupt TIFF file: tag %d has %s values, more than the file of %d bytes"
                .formatted(number, Long.toUnsignedString(count), channel.size()));
      }
      long bytes = count * type.get().bytes();
      int inline = big ? 8 : 4;
      int valueField = start + (big ? 12 : 8);
      long valueAt =
          bytes <= inline
              ? from + valueField
              : big ? table.getLong(valueField) : Integer.toUnsignedLong(table.getInt(valueField));
      if (valueAt < 0 || valueAt > channel.size() - bytes) {
        throw new ImageException(
            "Truncated TIFF file: tag %d lies at byte %s, but the file ends at %d"
                .formatted(number, Long.toUnsignedString(valueAt), channel.size()));
      }
      if (entries.put(number, new Entry(type.get(), count, valueAt)) != null) {
        throw new ImageException("Corrupt TIFF file: tag %d stands twice".formatted(number));
      }
    }
    return entries;
  }

  private static byte[] bytes(SeekableByteChannel channel, long at, int length) throws IOException {
    return bytes(channel, channel.size(), at, length);
  }

  /**
   * @param size of the file, as it was when it was opened: one that a failing disk tells of later
   *     may be wrong, and would make a truncated file of a good one
   */
  static byte[] bytes(SeekableByteChannel channel, long size, long at, int length)
      throws IOException {
    if (at < 0 || at > size - length) {
      throw new ImageException(
          "Truncated TIFF file: %d bytes at %s are needed, but it ends at %d"
              .formatted(length, Long.toUnsignedString(at), size));
    }
    ByteBuffer buffer = ByteBuffer.allocate(length);
    channel.position(at);
    while (buffer.hasRemaining()) {
      if (channel.read(buffer) < 0) {
        throw new ImageException("Truncated TIFF file: it became shorter while it was read");
      }
    }
    return buffer.array();
  }

  ByteOrder order() {
    return order;
  }

  Iterable<Integer> numbers() {
    return entries.keySet();
  }

  boolean has(int number) {
    return entries.containsKey(number);
  }

  /** How many values a tag has; 0 if it is not there. */
  long count(int number) {
    Entry entry = entries.get(number);
    return entry == null ? 0 : entry.count();
  }

  /** A tag as it is, in big-endian order. */
  TiffTag tag(int number) throws IOException {
    Entry entry = entries.get(number);
    byte[] values = value(number, entry);
    if (order == ByteOrder.LITTLE_ENDIAN) {
      entry.type().reverse(ByteBuffer.wrap(values));
    }
    return new TiffTag(number, entry.type(), values);
  }

  long bytesOf(int number) {
    Entry entry = entries.get(number);
    return entry.count() * entry.type().bytes();
  }

  /** All values of a tag; none if it is not there. */
  List<Double> numbers(int number) throws IOException {
    Entry entry = entries.get(number);
    List<Double> numbers = new ArrayList<>();
    if (entry != null) {
      byte[] values = value(number, entry);
      for (int i = 0; i < entry.count(); i++) {
        numbers.add(entry.type().number(values, i, order));
      }
    }
    return numbers;
  }

  /** The values of a tag that has a number for each block. */
  long[] longs(int number) throws IOException {
    Entry entry = entries.get(number);
    if (entry == null) {
      return new long[0];
    }
    byte[] values = value(number, entry);
    long[] numbers = new long[(int) entry.count()];
    for (int i = 0; i < numbers.length; i++) {
      double value = entry.type().number(values, i, order);
      if (!(value >= 0 && value < 0x1p53)) {
        throw new ImageException(
            "Corrupt TIFF file: tag %d holds %s, which is no place".formatted(number, value));
      }
      numbers[i] = (long) value;
    }
    return numbers;
  }

  /** The one whole number of a tag. */
  int integer(int number, int otherwise) throws IOException {
    return (int) whole(number, otherwise, Integer.MAX_VALUE);
  }

  /** The one whole number of a tag that may be larger than an int. */
  long whole(int number, long otherwise) throws IOException {
    return whole(number, otherwise, 0xFFFFFFFFL);
  }

  private long whole(int number, long otherwise, long most) throws IOException {
    Entry entry = entries.get(number);
    if (entry == null) {
      return otherwise;
    }
    double value = entry.count() < 1 ? -1 : entry.type().number(value(number, entry), 0, order);
    if (!(value >= 0 && value <= most && value == Math.rint(value))) {
      throw new ImageException(
          "Corrupt TIFF file: tag %d is %s; a whole number from 0 to %d is accepted"
              .formatted(number, value, most));
    }
    return (long) value;
  }

  /** The bytes of a tag; none if it is not there. */
  byte[] bytes(int number) throws IOException {
    Entry entry = entries.get(number);
    return entry == null ? new byte[0] : value(number, entry);
  }

  /** The text of a tag; empty if it is not there. */
  String text(int number) throws IOException {
    Entry entry = entries.get(number);
    return entry == null ? "" : TiffType.text(value(number, entry));
  }

  private byte[] value(int number, Entry entry) throws IOException {
    long bytes = entry.count() * entry.type().bytes();
    if (bytes > MAX_VALUE_BYTES) {
      throw new ImageException(
          "The TIFF file's tag %d has %d bytes; at most %d are accepted"
              .formatted(number, bytes, MAX_VALUE_BYTES));
    }
    return bytes(channel, entry.valueAt(), (int) bytes);
  }
}
