/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.WritableByteChannel;

/**
 * Passes a tensor's elements on as long as they are finite. Looks at their exponent bits only,
 * which costs less than what is done with them otherwise (a checksum, a disk).
 */
final class FiniteChannel implements WritableByteChannel {
  private static final int HALVES_IN_A_WORD = Long.BYTES / Short.BYTES;
  private static final long EACH_HALF = 0x0001_0001_0001_0001L;

  private final WritableByteChannel out;
  private final String source;
  private final TensorInfo info;
  private long checked;

  /**
   * @param info the tensor as it is written here; only floating-point types are looked at
   */
  FiniteChannel(WritableByteChannel out, String source, TensorInfo info) {
    this.out = out;
    this.source = source;
    this.info = info;
  }

  @Override
  public int write(ByteBuffer elements) throws IOException {
    int count = elements.remaining() / info.dtype().bytes();
    int at = firstNonFinite(info.dtype(), elements.duplicate().order(ByteOrder.LITTLE_ENDIAN));
    if (at >= 0) {
      throw new WeightsException(
          ("Weights %s: tensor '%s' holds %s at element %d; a network with it generates no image,"
                  + " so the file is corrupt or its training failed")
              .formatted(source, info.name(), value(elements.duplicate(), at), checked + at));
    }
    int total = elements.remaining();
    TensorReads.writeFully(elements, out);
    checked += count;
    return total;
  }

  /**
   * The first element that is a NaN or an infinity.
   *
   * @param elements little-endian
   * @return its index, or -1 if all are finite
   */
  static int firstNonFinite(DType dtype, ByteBuffer elements) {
    int count = elements.remaining() / dtype.bytes();
    switch (dtype) {
      case F32 -> {
        var bits = elements.asIntBuffer();
        for (int i = 0; i < count; i++) {
          if ((bits.get(i) & 0x7F80_0000) == 0x7F80_0000) {
            return i;
          }
        }
      }
      case F16, BF16 -> {
        short exponent = (short) (dtype == DType.F16 ? 0x7C00 : 0x7F80);
        // Four at a time: a model has a billion of them.
        var words = elements.asLongBuffer();
        int finite = 0;
        while (finite < words.limit() && !hasLane(words.get(finite), exponent)) {
          finite++;
        }
        var bits = elements.asShortBuffer();
        for (int i = finite * HALVES_IN_A_WORD; i < count; i++) {
          if ((bits.get(i) & exponent) == exponent) {
            return i;
          }
        }
      }
      case F64 -> {
        var values = elements.asDoubleBuffer();
        for (int i = 0; i < count; i++) {
          if (!Double.isFinite(values.get(i))) {
            return i;
          }
        }
      }
      case F8_E4M3, F8_E5M2 -> {
        for (int i = 0; i < count; i++) {
          if (!Float.isFinite(
              EightBitFloats.toFloat(dtype, elements.get(elements.position() + i)))) {
            return i;
          }
        }
      }
      default -> {
        // Whole numbers are finite.
      }
    }
    return -1;
  }

  /** Whether all the exponent's bits are set in one of the word's halves. */
  private static boolean hasLane(long word, short exponent) {
    long exponents = exponent * EACH_HALF;
    // Zero in such a half, and below its sign bit in all.
    long missing = ~word & exponents;
    return ((missing - EACH_HALF) & ~missing & EACH_HALF << 15) != 0;
  }

  private double value(ByteBuffer elements, int at) {
    int position = elements.position() + at * info.dtype().bytes();
    elements.order(ByteOrder.LITTLE_ENDIAN);
    return switch (info.dtype()) {
      case F32 -> elements.getFloat(position);
      case F16 -> HalfPrecision.f16ToFloat(elements.getShort(position));
      case BF16 -> HalfPrecision.bf16ToFloat(elements.getShort(position));
      case F8_E4M3, F8_E5M2 -> EightBitFloats.toFloat(info.dtype(), elements.get(position));
      default -> elements.getDouble(position);
    };
  }

  @Override
  public boolean isOpen() {
    return out.isOpen();
  }

  @Override
  public void close() throws IOException {
    out.close();
  }
}
