/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import io.github.flinkdiffusion.ops.weights.GgufHeader.Entry;
import io.github.flinkdiffusion.ops.weights.GgufHeader.Layout;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * A GGUF file (ggml's format, version 2 or 3, little-endian), memory-mapped. Tensors of plain types
 * are shown as they are stored. Those of quantized types ({@link GgmlType}) are shown as F32, and
 * computed when they are read: to the bit what the Python package {@code gguf} computes. The heap
 * holds a part of one tensor at a time.
 *
 * <p>The file is: magic, version, the counts of tensors and of metadata, the metadata, each
 * tensor's name, dimensions (innermost first), type and offset, the tensors' bytes, each at a
 * multiple of the alignment. All of it is checked against the file before it is believed, as in
 * {@link Safetensors}.
 *
 * <p>A tensor that had another shape before it was quantized says so in the metadata ({@code
 * comfy.gguf.orig_shape.NAME}), and has that one here.
 */
final class Gguf implements TensorStore {
  static final String SUFFIX = ".gguf";

  private final Path file;
  private final FileChannel channel;
  private final Layout layout;
  private final FileDigests digests;
  private final FileDigests.Stamp stamp;
  private volatile FileMapping mapping;

  private Gguf(
      Path file,
      FileChannel channel,
      Layout layout,
      FileMapping mapping,
      FileDigests digests,
      FileDigests.Stamp stamp) {
    this.file = file;
    this.channel = channel;
    this.layout = layout;
    this.mapping = mapping;
    this.digests = digests;
    this.stamp = stamp;
  }

  static boolean isOne(Path file) {
    return isName(file.getFileName().toString());
  }

  static boolean isName(String file) {
    return file.endsWith(SUFFIX);
  }

  /**
   * Opens a file of any size.
   *
   * @throws WeightsException if it cannot be read, is no valid GGUF file, or has types that are not
   *     read
   */
  static Gguf open(Path file, FileDigests digests) {
    return open(file, digests, FileMapping.SEGMENT_BYTES);
  }

  static Gguf open(Path file, FileDigests digests, long segmentBytes) {
    FileChannel channel = null;
    boolean complete = false;
    try {
      channel = FileChannel.open(file, StandardOpenOption.READ);
      FileDigests.Stamp stamp = FileDigests.Stamp.of(file);
      Layout layout = GgufHeader.read(file, channel);
      FileMapping mapping = FileMapping.of(channel, layout.dataStart(), segmentBytes);
      FileDigests.checkUnchanged(file, stamp);
      digests.opened(file, stamp, channel);
      complete = true;
      return new Gguf(file, channel, layout, mapping, digests, stamp);
    } catch (IOException e) {
      throw new WeightsException("Cannot read weights from " + file + ": " + e, e);
    } finally {
      if (!complete) {
        closeQuietly(channel);
      }
    }
  }

  /** A metadata text, such as {@code general.architecture}. */
  Optional<String> text(String key) {
    return layout.metadata().get(key) instanceof String text ? Optional.of(text) : Optional.empty();
  }

  @Override
  public Set<String> names() {
    return Collections.unmodifiableSet(layout.entries().keySet());
  }

  @Override
  public TensorInfo info(String name) {
    return entry(name).info();
  }

  /** The type as it is stored. */
  GgmlType type(String name) {
    return entry(name).type();
  }

  @Override
  public List<ByteBuffer> data(String name) {
    Entry entry = entry(name);
    if (entry.type().isQuantized() && entry.info().byteLength() > Integer.MAX_VALUE - 8) {
      throw new WeightsException(
          "%s: tensor %s is computed and larger than 2 GiB; read it with writeTo()"
              .formatted(file, entry.info()));
    }
    return data(name, 0, entry.info().elements());
  }

  @Override
  public List<ByteBuffer> data(String name, long first, long elements) {
    Entry entry = entry(name);
    FileMapping open = mapping;
    if (open == null) {
      throw new WeightsException("Cannot read tensor '%s': %s is closed".formatted(name, file));
    }
    GgmlType type = entry.type();
    if (!type.isQuantized()) {
      int bytes = type.blockBytes();
      long begin = entry.begin() + first * bytes;
      return open.slices(begin, begin + elements * bytes, bytes);
    }
    if (elements == 0) {
      return List.of();
    }
    long firstBlock = first / type.blockElements();
    long lastBlock = (first + elements - 1) / type.blockElements();
    ByteBuffer computed =
        ByteBuffer.allocate(Math.toIntExact(elements * Float.BYTES)).order(ByteOrder.LITTLE_ENDIAN);
    float[] block = new float[type.blockElements()];
    long at = firstBlock * type.blockElements();
    for (ByteBuffer part :
        open.slices(
            entry.begin() + firstBlock * type.blockBytes(),
            entry.begin() + (lastBlock + 1) * type.blockBytes(),
            type.blockBytes())) {
      for (int i = 0; i < part.limit(); i += type.blockBytes()) {
        type.decode(part, i, block, 0);
        int from = (int) Math.max(0, first - at);
        int to = (int) Math.min(block.length, first + elements - at);
        computed.asFloatBuffer().put(block, from, to - from);
        computed.position(computed.position() + (to - from) * Float.BYTES);
        at += block.length;
      }
    }
    return List.of(computed.flip().asReadOnlyBuffer().order(ByteOrder.LITTLE_ENDIAN));
  }

  @Override
  public Optional<TensorPlace> place(String name) {
    Entry entry = entry(name);
    return entry.type().isQuantized()
        ? Optional.empty()
        : Optional.of(
            new TensorPlace(
                file.toAbsolutePath(), layout.dataStart() + entry.begin(), entry.info().dtype()));
  }

  private Entry entry(String name) {
    Entry entry = layout.entries().get(name);
    if (entry == null) {
      throw TensorReads.noSuchTensor(source(), name, names());
    }
    return entry;
  }

  @Override
  public void requireUnchanged() {
    FileDigests.checkUnchanged(file, stamp);
  }

  @Override
  public String source() {
    return file.toString();
  }

  @Override
  public String digest() {
    return digests.digest(file, stamp);
  }

  /** As {@link Safetensors#close()}. */
  @Override
  public void close() {
    mapping = null;
    closeQuietly(channel);
  }

  private static void closeQuietly(FileChannel channel) {
    try {
      if (channel != null) {
        channel.close();
      }
    } catch (IOException e) {
      // It was read from alone.
    }
  }
}
