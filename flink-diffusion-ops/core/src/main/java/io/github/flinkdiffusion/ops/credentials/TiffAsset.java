/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import io.github.flinkdiffusion.ops.credentials.AssetBytes.Range;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * TIFF and BigTIFF: the tag 0xCD41 of the first page, of type UNDEFINED. The page's directory is
 * written once more, with that tag, at the end of the file, and the store after it; nothing else
 * moves. A Cloud Optimized GeoTIFF stays readable, but its first directory is no longer in front.
 */
final class TiffAsset implements AssetFormat {
  private static final int TAG = 0xcd41;
  private static final int UNDEFINED = 7;
  private static final long MOST_CLASSIC = 0xffffffffL;
  private static final int MOST_ENTRIES = 4096;
  private static final int MOST_PAGES = 4096;

  /** How numbers are written in such a file. */
  private record Layout(ByteOrder order, boolean big) {
    int entry() {
      return big ? 20 : 12;
    }

    int count() {
      return big ? 8 : 2;
    }

    int offset() {
      return big ? 8 : 4;
    }

    long getOffset(ByteBuffer buffer, int at) {
      return big ? buffer.getLong(at) : Integer.toUnsignedLong(buffer.getInt(at));
    }

    byte[] offset(long value) {
      ByteBuffer buffer = ByteBuffer.allocate(offset()).order(order);
      return (big ? buffer.putLong(value) : buffer.putInt((int) value)).array();
    }
  }

  /**
   * @param entries of the directory as they are in the file
   * @param next where the next one is, or 0
   */
  private record Directory(List<byte[]> entries, long next) {}

  @Override
  public String mediaType() {
    return "image/tiff";
  }

  @Override
  public Optional<Found> find(AssetBytes file) {
    Layout layout = layout(file);
    // Of the last page or, which is how files mostly are, of the first.
    long at = first(file, layout);
    Directory first = directory(file, layout, at);
    Directory last = first;
    Set<Long> seen = new HashSet<>(Set.of(at));
    while (last.next() != 0) {
      if (!seen.add(last.next()) || seen.size() > MOST_PAGES) {
        throw new CredentialsException("The TIFF file's directories have no end");
      }
      last = directory(file, layout, last.next());
    }
    return store(file, layout, last).or(() -> store(file, layout, first));
  }

  private static Optional<Found> store(AssetBytes file, Layout layout, Directory directory) {
    for (byte[] bytes : directory.entries()) {
      ByteBuffer entry = ByteBuffer.wrap(bytes).order(layout.order());
      if (tag(entry) == TAG) {
        if (entry.getShort(2) != UNDEFINED) {
          throw new CredentialsException("The TIFF tag of the manifest store has another type");
        }
        long length = layout.getOffset(entry, 4);
        if (length <= layout.offset()) {
          throw new CredentialsException("The manifest store has " + length + " bytes");
        }
        long start = layout.getOffset(entry, 4 + layout.offset());
        return Optional.of(new Found(file.bytes(start, length), List.of(new Range(start, length))));
      }
    }
    return Optional.empty();
  }

  @Override
  public Embedding embed(AssetBytes file, byte[] store) throws IOException {
    Layout layout = layout(file);
    Directory first = directory(file, layout, first(file, layout));
    long end = file.size();
    int pad = (int) (end & (layout.big() ? 7 : 1));
    pad = pad == 0 ? 0 : (layout.big() ? 8 : 2) - pad;
    int entries = first.entries().size() + 1;
    long directoryAt = end + pad;
    long storeAt = directoryAt + layout.count() + (long) entries * layout.entry() + layout.offset();
    if (!layout.big() && storeAt + store.length > MOST_CLASSIC) {
      throw new CredentialsException(
          "The TIFF file of %d bytes is too large for content credentials".formatted(end));
    }
    ByteBuffer entry =
        ByteBuffer.allocate(layout.entry())
            .order(layout.order())
            .putShort((short) TAG)
            .putShort((short) UNDEFINED)
            .put(layout.offset(store.length))
            .put(layout.offset(storeAt));
    List<byte[]> all = new ArrayList<>(first.entries());
    all.add(entry.array());
    all.sort(Comparator.comparingInt(one -> tag(ByteBuffer.wrap(one).order(layout.order()))));
    ByteArrayOutputStream added = new ByteArrayOutputStream();
    added.writeBytes(new byte[pad]);
    ByteBuffer count = ByteBuffer.allocate(layout.count()).order(layout.order());
    added.writeBytes(
        (layout.big() ? count.putLong(entries) : count.putShort((short) entries)).array());
    all.forEach(added::writeBytes);
    added.writeBytes(layout.offset(first.next()));
    added.writeBytes(store);
    return new Embedding(
        List.of(
            new Edit(layout.big() ? 8 : 4, layout.offset(), layout.offset(directoryAt)),
            new Edit(end, 0, added.toByteArray())),
        new Range(storeAt, store.length));
  }

  private static int tag(ByteBuffer entry) {
    return entry.getShort(0) & 0xffff;
  }

  private static Layout layout(AssetBytes file) {
    byte[] head = file.bytes(0, 4);
    ByteOrder order = head[0] == 'I' ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN;
    return new Layout(order, ByteBuffer.wrap(head).order(order).getShort(2) == 43);
  }

  private static long first(AssetBytes file, Layout layout) {
    int at = layout.big() ? 8 : 4;
    return layout.getOffset(file.buffer(at, layout.offset(), layout.order()), 0);
  }

  private static Directory directory(AssetBytes file, Layout layout, long at) {
    ByteBuffer counted = file.buffer(at, layout.count(), layout.order());
    long count = layout.big() ? counted.getLong(0) : counted.getShort(0) & 0xffff;
    if (count < 0 || count > MOST_ENTRIES) {
      throw new CredentialsException("A TIFF directory of " + count + " entries");
    }
    List<byte[]> entries = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      entries.add(file.bytes(at + layout.count() + (long) i * layout.entry(), layout.entry()));
    }
    long next = at + layout.count() + count * layout.entry();
    return new Directory(
        entries, layout.getOffset(file.buffer(next, layout.offset(), layout.order()), 0));
  }
}
