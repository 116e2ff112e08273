/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.WritableByteChannel;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/** How {@link TensorStore}'s default methods read and convert. */
final class TensorReads {
  /** Elements converted at a time: 128 KiB of doubles at most. */
  private static final int CHUNK_ELEMENTS = 16 * 1024;

  /** Elements asked of a store at a time: what it computes then takes 64 MiB at most. */
  private static final long RANGE_ELEMENTS = 1 << 23;

  private TensorReads() {}

  static float[] floats(TensorStore store, String name) {
    TensorInfo info = store.info(name);
    if (!info.dtype().isFloating()) {
      throw new WeightsException(
          "%s: tensor '%s' is %s, not floating-point (F64, F32, F16, BF16, F8_E4M3, F8_E5M2)"
              .formatted(store.source(), name, info.dtype()));
    }
    float[] floats = new float[arrayLength(store, info)];
    int at = 0;
    while (at < floats.length) {
      for (ByteBuffer part : store.data(name, at, rangeFrom(info, at))) {
        int count = part.remaining() / info.dtype().bytes();
        readFloats(store, info, part, floats, at, count);
        at += count;
      }
    }
    return floats;
  }

  private static long rangeFrom(TensorInfo info, long first) {
    return Math.min(RANGE_ELEMENTS, info.elements() - first);
  }

  /** A range of bytes in buffers that follow each other. */
  static List<ByteBuffer> range(List<ByteBuffer> parts, long begin, long length) {
    List<ByteBuffer> range = new ArrayList<>(parts.size());
    long at = 0;
    for (ByteBuffer part : parts) {
      long from = Math.max(begin, at);
      long to = Math.min(begin + length, at + part.remaining());
      if (from < to) {
        range.add(
            part.slice(part.position() + (int) (from - at), (int) (to - from))
                .order(ByteOrder.LITTLE_ENDIAN));
      }
      at += part.remaining();
    }
    return range;
  }

  static long[] longs(TensorStore store, String name) {
    TensorInfo info = store.info(name);
    if (info.dtype().isFloating()) {
      throw new WeightsException(
          "%s: tensor '%s' is %s, not of whole numbers (I64, I32, I16, I8, U8, BOOL)"
              .formatted(store.source(), name, info.dtype()));
    }
    long[] longs = new long[arrayLength(store, info)];
    int at = 0;
    for (ByteBuffer part : store.data(name)) {
      while (part.hasRemaining()) {
        longs[at++] =
            switch (info.dtype()) {
              case I64 -> part.getLong();
              case I32 -> part.getInt();
              case I16 -> part.getShort();
              case I8 -> part.get();
              default -> part.get() & 0xFF;
            };
      }
    }
    return longs;
  }

  static void write(TensorStore store, String name, DType as, WritableByteChannel out)
      throws IOException {
    long elements = store.info(name).elements();
    for (long at = 0; at < elements; at += RANGE_ELEMENTS) {
      write(store, name, at, Math.min(RANGE_ELEMENTS, elements - at), as, out);
    }
  }

  /** Writes a range of a tensor's elements. */
  static void write(
      TensorStore store, String name, long first, long elements, DType as, WritableByteChannel out)
      throws IOException {
    TensorInfo info = store.info(name);
    if (info.dtype() == as) {
      for (ByteBuffer part : store.data(name, first, elements)) {
        writeFully(part, out);
      }
      return;
    }
    if (!info.dtype().isFloating() || !as.isFloating() || as.isEightBitFloating()) {
      throw new WeightsException(
          "%s: tensor '%s' is %s and cannot become %s; only F64, F32, F16, BF16, F8_E4M3 and F8_E5M2 convert, and only into F64, F32, F16 and BF16"
              .formatted(store.source(), name, info.dtype(), as));
    }
    float[] chunk = new float[CHUNK_ELEMENTS];
    ByteBuffer converted =
        ByteBuffer.allocate(CHUNK_ELEMENTS * as.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    for (ByteBuffer part : store.data(name, first, elements)) {
      while (part.hasRemaining()) {
        int count = Math.min(CHUNK_ELEMENTS, part.remaining() / info.dtype().bytes());
        readFloats(store, info, part, chunk, 0, count);
        converted.clear();
        writeFloats(store, name, chunk, count, as, converted);
        writeFully(converted.flip(), out);
      }
    }
  }

  /** Reads {@code count} elements, advancing the buffer; a double rounds to the nearest float. */
  private static void readFloats(
      TensorStore store, TensorInfo info, ByteBuffer from, float[] to, int at, int count) {
    switch (info.dtype()) {
      case F32 -> {
        from.asFloatBuffer().get(to, at, count);
        from.position(from.position() + count * Float.BYTES);
      }
      case F16 -> {
        for (int i = 0; i < count; i++) {
          to[at + i] = HalfPrecision.f16ToFloat(from.getShort());
        }
      }
      case BF16 -> {
        for (int i = 0; i < count; i++) {
          to[at + i] = HalfPrecision.bf16ToFloat(from.getShort());
        }
      }
      case F8_E4M3, F8_E5M2 -> {
        for (int i = 0; i < count; i++) {
          to[at + i] = EightBitFloats.toFloat(info.dtype(), from.get());
        }
      }
      case F64 -> {
        for (int i = 0; i < count; i++) {
          double value = from.getDouble();
          to[at + i] = (float) value;
          if (Float.isInfinite(to[at + i]) && !Double.isInfinite(value)) {
            throw overflow(store, info.name(), value, DType.F32);
          }
        }
      }
      default -> throw new AssertionError(info);
    }
  }

  private static void writeFloats(
      TensorStore store, String name, float[] from, int count, DType dtype, ByteBuffer to) {
    switch (dtype) {
      case F32 -> {
        to.asFloatBuffer().put(from, 0, count);
        to.position(to.position() + count * Float.BYTES);
      }
      case F64 -> {
        for (int i = 0; i < count; i++) {
          to.putDouble(from[i]);
        }
      }
      case F16 -> {
        for (int i = 0; i < count; i++) {
          short half = HalfPrecision.floatToF16(from[i]);
          if ((half & 0x7FFF) == 0x7C00 && Float.isFinite(from[i])) {
            throw overflow(store, name, from[i], dtype);
          }
          to.putShort(half);
        }
      }
      case BF16 -> {
        for (int i = 0; i < count; i++) {
          short bfloat = HalfPrecision.floatToBf16(from[i]);
          if ((bfloat & 0x7FFF) == 0x7F80 && Float.isFinite(from[i])) {
            throw overflow(store, name, from[i], dtype);
          }
          to.putShort(bfloat);
        }
      }
      default -> throw new AssertionError(dtype);
    }
  }

  /** A range of the elements of an identity matrix of floating-point numbers. */
  static List<ByteBuffer> identity(TensorInfo info, long first, long elements) {
    long columns = info.shape()[1];
    float[] values = new float[Math.toIntExact(elements)];
    for (int i = 0; i < values.length; i++) {
      values[i] = (first + i) / columns == (first + i) % columns ? 1 : 0;
    }
    ByteBuffer bytes =
        ByteBuffer.allocate(values.length * info.dtype().bytes()).order(ByteOrder.LITTLE_ENDIAN);
    HeapTensors none = HeapTensors.builder().build();
    writeFloats(none, info.name(), values, values.length, info.dtype(), bytes);
    return List.of(bytes.flip().asReadOnlyBuffer().order(ByteOrder.LITTLE_ENDIAN));
  }

  private static WeightsException overflow(
      TensorStore store, String name, double value, DType dtype) {
    return new WeightsException(
        "%s: tensor '%s' holds %s, which %s cannot hold; read it as a wider type"
            .formatted(store.source(), name, value, dtype));
  }

  private static int arrayLength(TensorStore store, TensorInfo info) {
    // Arrays.MAX_LENGTH of the common virtual machines.
    if (info.elements() > Integer.MAX_VALUE - 8) {
      throw new WeightsException(
          "%s: tensor '%s' of shape %s has more elements than one array holds; read it in parts with data() or writeTo()"
              .formatted(store.source(), info.name(), Arrays.toString(info.shape())));
    }
    return (int) info.elements();
  }

  static void writeFully(ByteBuffer from, WritableByteChannel out) throws IOException {
    while (from.hasRemaining()) {
      out.write(from);
    }
  }

  static WeightsException noSuchTensor(String source, String name, Set<String> names) {
    String example = names.isEmpty() ? "" : ", such as '" + names.iterator().next() + "'";
    return new WeightsException(
        "%s: no tensor '%s'; it holds %d tensors%s".formatted(source, name, names.size(), example));
  }

  /**
   * A channel over a stream; unlike {@code Channels.newChannel} it hands heap buffers on without a
   * copy.
   */
  static final class StreamChannel implements WritableByteChannel {
    private final OutputStream out;
    private byte[] copy;

    StreamChannel(OutputStream out) {
      this.out = out;
    }

    @Override
    public int write(ByteBuffer from) throws IOException {
      int total = from.remaining();
      if (from.hasArray()) {
        out.write(from.array(), from.arrayOffset() + from.position(), total);
        from.position(from.limit());
        return total;
      }
      if (copy == null) {
        copy = new byte[256 * 1024];
      }
      while (from.hasRemaining()) {
        int count = Math.min(copy.length, from.remaining());
        from.get(copy, 0, count);
        out.write(copy, 0, count);
      }
      return total;
    }

    @Override
    public boolean isOpen() {
      return true;
    }

    @Override
    public void close() {}
  }
}
