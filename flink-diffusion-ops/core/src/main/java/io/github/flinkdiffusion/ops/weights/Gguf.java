/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import io.github.flinkdiffusion.ops.weights.GgufHeader.Entry;
import io.github.flinkdiffusion.ops.weights.GgufHeader.Layout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
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
final class Gguf extends MappedFile<Layout> {
  static final String SUFFIX = ".gguf";

  private Gguf(Path file, long segmentBytes, FileDigests digests) {
    super(file, segmentBytes, digests, GgufHeader::read, Layout::dataStart);
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
    return new Gguf(file, segmentBytes, digests);
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
    FileMapping open = mappingFor(name);
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
    return entry(layout.entries(), name);
  }
}
