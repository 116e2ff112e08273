/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads what comes before the tensors of a GGUF file: forward, through a buffer, and never beyond
 * the largest header.
 */
final class GgufHeader {
  private static final int MAGIC = 'G' | 'G' << 8 | 'U' << 16 | 'F' << 24;
  private static final long MAX_HEADER_BYTES = 100_000_000L;
  private static final int MAX_TENSORS = 1_000_000;
  private static final int MAX_DIMENSIONS = 4;
  private static final int MAX_NAME_BYTES = 1024;
  private static final int MAX_ARRAY_DEPTH = 4;
  private static final long DEFAULT_ALIGNMENT = 32;
  private static final long MAX_ALIGNMENT = 1 << 20;

  /** Of what ggml's quantized types look like; it has been 2 since 2023. */
  private static final long QUANTIZATION_VERSION = 2;

  private static final String ALIGNMENT_KEY = "general.alignment";
  private static final String QUANTIZATION_KEY = "general.quantization_version";
  private static final String SPLITS_KEY = "split.count";
  private static final String SHAPE_KEY = "comfy.gguf.orig_shape.";

  /** Metadata of more elements or bytes are for others, such as a tokenizer's. */
  private static final int MAX_KEPT = 1024;

  /** A tensor: where its data begins and ends, counted from the first one's. */
  record Entry(TensorInfo info, GgmlType type, long begin, long end) {}

  /** What comes before the tensors, checked against the file. */
  record Layout(Map<String, Object> metadata, Map<String, Entry> entries, long dataStart) {}

  private final Path file;
  private final FileChannel channel;
  private final long size;
  private final ByteBuffer buffer =
      ByteBuffer.allocate(1 << 16).order(ByteOrder.LITTLE_ENDIAN).limit(0);
  private long read;

  private GgufHeader(Path file, FileChannel channel) throws IOException {
    this.file = file;
    this.channel = channel;
    this.size = channel.size();
  }

  /**
   * @throws WeightsException for what is no valid GGUF file, or has types that are not read
   */
  static Layout read(Path file, FileChannel channel) throws IOException {
    return new GgufHeader(file, channel).read();
  }

  private Layout read() throws IOException {
    if (size < 24) {
      throw invalid("is %d bytes long, too short for a header; is the download complete?", size);
    }
    int magic = int32();
    if (magic != MAGIC) {
      throw invalid("does not begin with 'GGUF', so it is no GGUF file");
    }
    int version = int32();
    if (version > 0 && (version & 0xFFFF) == 0) {
      throw invalid(
          "is big-endian (version %d read so), which is not supported; little-endian files are."
              + " Convert it with gguf_convert_endian.py of llama.cpp.",
          Integer.reverseBytes(version));
    }
    if (version != 2 && version != 3) {
      throw invalid("has version %d; versions 2 and 3 are supported", version);
    }
    long tensors = int64();
    long pairs = int64();
    if (tensors < 0 || tensors > MAX_TENSORS) {
      throw invalid(
          "says that it has %s tensors; up to %d are accepted",
          Long.toUnsignedString(tensors), MAX_TENSORS);
    }
    if (pairs < 0 || pairs > MAX_TENSORS) {
      throw invalid(
          "says that it has %s metadata; up to %d are accepted",
          Long.toUnsignedString(pairs), MAX_TENSORS);
    }
    Map<String, Object> metadata = new LinkedHashMap<>();
    for (long i = 0; i < pairs; i++) {
      String key = string("the key of metadata %d".formatted(i), 1 << 16);
      Object value = value(key, int32(), 0);
      if (metadata.put(key, value) != null) {
        throw invalid("has metadata '%s' twice", key);
      }
    }
    long splits = number(metadata, SPLITS_KEY, 1);
    if (splits > 1) {
      throw invalid(
          "is one of %d parts (%s); merge them with gguf-split of llama.cpp", splits, SPLITS_KEY);
    }
    long alignment = number(metadata, ALIGNMENT_KEY, DEFAULT_ALIGNMENT);
    if (alignment < 1 || alignment > MAX_ALIGNMENT || Long.bitCount(alignment) != 1) {
      throw invalid(
          "has %s = %d; powers of two up to %d are accepted",
          ALIGNMENT_KEY, alignment, MAX_ALIGNMENT);
    }
    List<Entry> entries = new ArrayList<>();
    for (long i = 0; i < tensors; i++) {
      entries.add(entry(metadata));
    }
    long dataStart = aligned(position(), alignment);
    return new Layout(metadata, checked(entries, alignment, size - dataStart), dataStart);
  }

  private Entry entry(Map<String, Object> metadata) throws IOException {
    String name = string("the name of a tensor", MAX_NAME_BYTES);
    int dimensions = int32();
    if (dimensions < 0 || dimensions > MAX_DIMENSIONS) {
      throw invalid(
          "tensor '%s' has %d dimensions; up to %d are accepted", name, dimensions, MAX_DIMENSIONS);
    }
    long[] shape = new long[dimensions];
    for (int i = dimensions - 1; i >= 0; i--) {
      shape[i] = int64();
    }
    int code = int32();
    GgmlType type =
        GgmlType.of(code)
            .orElseThrow(
                () ->
                    invalid(
                        "tensor '%s' has the type %s, which is not supported; supported are %s",
                        name, GgmlType.nameOf(code), GgmlType.names()));
    long begin = int64();
    if (type.isQuantized() && number(metadata, QUANTIZATION_KEY, 2) != QUANTIZATION_VERSION) {
      throw invalid(
          "has %s = %d; %d is supported",
          QUANTIZATION_KEY, number(metadata, QUANTIZATION_KEY, 2), QUANTIZATION_VERSION);
    }
    TensorInfo stored;
    try {
      stored = TensorInfo.of(name, type.shown(), shape);
    } catch (WeightsException e) {
      throw new WeightsException("Weights %s: %s".formatted(file, e.getMessage()));
    }
    long row = dimensions == 0 ? 1 : shape[dimensions - 1];
    if (row % type.blockElements() != 0) {
      throw invalid(
          "tensor '%s' of shape %s is %s, whose rows are a multiple of %d long",
          name, Arrays.toString(shape), type, type.blockElements());
    }
    long bytes = stored.elements() / type.blockElements() * type.blockBytes();
    if (begin < 0 || begin > size || bytes > size - begin) {
      throw invalid(
          "tensor '%s' of %d bytes begins at data byte %s, but the file has %d bytes in all; is the"
              + " download complete?",
          name, bytes, Long.toUnsignedString(begin), size);
    }
    return new Entry(original(stored, metadata), type, begin, begin + bytes);
  }

  /** With the shape that it had before rows were made longer for a quantized type. */
  private TensorInfo original(TensorInfo stored, Map<String, Object> metadata) {
    Object said = metadata.get(SHAPE_KEY + stored.name());
    if (said == null) {
      return stored;
    }
    if (said instanceof List<?> list
        && list.stream().allMatch(size -> size instanceof Long number && number >= 0)) {
      long[] shape = list.stream().mapToLong(size -> (Long) size).toArray();
      long elements = 1;
      for (long dimension : shape) {
        elements =
            dimension == 0
                ? 0
                : Math.multiplyHigh(elements, dimension) != 0 ? -1 : elements * dimension;
      }
      if (elements == stored.elements()) {
        return TensorInfo.of(stored.name(), stored.dtype(), shape);
      }
    }
    throw invalid(
        "has %s%s = %s; expected a shape of %d elements",
        SHAPE_KEY, stored.name(), said, stored.elements());
  }

  /** The tensors in the order of their data. */
  private Map<String, Entry> checked(List<Entry> entries, long alignment, long dataBytes) {
    entries.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
    Map<String, Entry> byName = new LinkedHashMap<>();
    long end = 0;
    for (Entry entry : entries) {
      long expected = aligned(end, alignment);
      if (entry.begin != expected) {
        throw invalid(
            "tensor '%s' begins at data byte %d, but the one before it ends at %d and the alignment"
                + " is %d; there may be no %s",
            entry.info.name(), entry.begin, end, alignment, entry.begin < end ? "overlap" : "hole");
      }
      end = entry.end;
      if (end > dataBytes) {
        throw invalid(
            "tensor '%s' ends at data byte %d, but the file has %d bytes of data; is the download"
                + " complete?",
            entry.info.name(), end, dataBytes);
      }
      if (byName.put(entry.info.name(), entry) != null) {
        throw invalid("has tensor '%s' twice", entry.info.name());
      }
    }
    if (dataBytes > aligned(end, alignment)) {
      throw invalid("has %d bytes of data, but its tensors end at %d", dataBytes, end);
    }
    return byName;
  }

  private long number(Map<String, Object> metadata, String key, long otherwise) {
    Object value = metadata.getOrDefault(key, otherwise);
    if (value instanceof Long number) {
      return number;
    }
    throw invalid("has %s = %s; expected a whole number", key, value);
  }

  /** Whole numbers are Long, short arrays lists; long texts and arrays are passed over. */
  private Object value(String key, int type, int depth) throws IOException {
    return switch (type) {
      case 0 -> (long) (int8() & 0xFF);
      case 1 -> (long) int8();
      case 2 -> (long) (int16() & 0xFFFF);
      case 3 -> (long) int16();
      case 4 -> int32() & 0xFFFF_FFFFL;
      case 5 -> (long) int32();
      case 6 -> Float.intBitsToFloat(int32());
      case 7 -> int8() != 0;
      case 8 -> text(key);
      case 9 -> array(key, depth);
      case 10, 11 -> int64();
      case 12 -> Double.longBitsToDouble(int64());
      default -> throw invalid("metadata '%s' has the unknown type %d", key, type);
    };
  }

  private Object array(String key, int depth) throws IOException {
    int type = int32();
    long count = int64();
    if (depth >= MAX_ARRAY_DEPTH || count < 0 || count > MAX_HEADER_BYTES) {
      throw invalid(
          "metadata '%s' is an array of %s elements, %d deep; up to %d and %d are accepted",
          key, Long.toUnsignedString(count), depth + 1, MAX_HEADER_BYTES, MAX_ARRAY_DEPTH);
    }
    List<Object> kept = new ArrayList<>();
    for (long i = 0; i < count; i++) {
      Object element = value(key, type, depth + 1);
      if (i < MAX_KEPT) {
        kept.add(element);
      }
    }
    return count > MAX_KEPT ? "an array of " + count : kept;
  }

  private String text(String key) throws IOException {
    long length = int64();
    if (length >= 0 && length <= MAX_KEPT) {
      return text((int) length);
    }
    if (length < 0 || length > MAX_HEADER_BYTES) {
      throw invalid(
          "metadata '%s' is a text of %s bytes; up to %d are accepted",
          key, Long.toUnsignedString(length), MAX_HEADER_BYTES);
    }
    for (long i = 0; i < length; i++) {
      int8();
    }
    return "a text of " + length + " bytes";
  }

  private String string(String what, int maxBytes) throws IOException {
    long length = int64();
    if (length < 1 || length > maxBytes) {
      throw invalid(
          "says that %s is %s bytes long; 1 to %d are accepted",
          what, Long.toUnsignedString(length), maxBytes);
    }
    return text((int) length);
  }

  private String text(int length) throws IOException {
    byte[] bytes = new byte[length];
    for (int i = 0; i < length; i++) {
      bytes[i] = int8();
    }
    return new String(bytes, StandardCharsets.UTF_8);
  }

  private byte int8() throws IOException {
    require(Byte.BYTES);
    return buffer.get();
  }

  private short int16() throws IOException {
    require(Short.BYTES);
    return buffer.getShort();
  }

  private int int32() throws IOException {
    require(Integer.BYTES);
    return buffer.getInt();
  }

  private long int64() throws IOException {
    require(Long.BYTES);
    return buffer.getLong();
  }

  private long position() {
    return read - buffer.remaining();
  }

  private void require(int bytes) throws IOException {
    if (buffer.remaining() >= bytes) {
      return;
    }
    buffer.compact();
    while (buffer.position() < bytes) {
      int more = channel.read(buffer, read);
      if (more < 0) {
        throw invalid("ends within its header, after %d bytes; is the download complete?", read);
      }
      read += more;
    }
    buffer.flip();
    if (position() > MAX_HEADER_BYTES) {
      throw invalid("has a header of more than %d bytes", MAX_HEADER_BYTES);
    }
  }

  private WeightsException invalid(String problem, Object... values) {
    return new WeightsException("Weights " + file + ": " + problem.formatted(values));
  }

  private static long aligned(long position, long alignment) {
    return (position + alignment - 1) / alignment * alignment;
  }
}
