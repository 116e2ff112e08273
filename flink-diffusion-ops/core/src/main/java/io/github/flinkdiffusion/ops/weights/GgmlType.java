/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * The types of tensors in a GGUF file that are read, with ggml's names and numbers. A quantized
 * type holds its elements in blocks, each with its own scale.
 *
 * <p>{@link #decode} computes in float32 and in the order of operations of the Python package
 * {@code gguf} ({@code quants.py}), so that its results are equal to the bit.
 */
enum GgmlType {
  F32(0, DType.F32),
  F16(1, DType.F16),
  Q4_0(2, 32, 18) {
    @Override
    void decode(ByteBuffer from, int at, float[] to, int out) {
      float d = half(from, at);
      for (int i = 0; i < 16; i++) {
        int pair = from.get(at + 2 + i) & 0xFF;
        to[out + i] = d * ((pair & 0xF) - 8);
        to[out + 16 + i] = d * ((pair >>> 4) - 8);
      }
    }
  },
  Q4_1(3, 32, 20) {
    @Override
    void decode(ByteBuffer from, int at, float[] to, int out) {
      float d = half(from, at);
      float m = half(from, at + 2);
      for (int i = 0; i < 16; i++) {
        int pair = from.get(at + 4 + i) & 0xFF;
        to[out + i] = d * (pair & 0xF) + m;
        to[out + 16 + i] = d * (pair >>> 4) + m;
      }
    }
  },
  Q5_0(6, 32, 22) {
    @Override
    void decode(ByteBuffer from, int at, float[] to, int out) {
      float d = half(from, at);
      int high = from.getInt(at + 2);
      for (int i = 0; i < 16; i++) {
        int pair = from.get(at + 6 + i) & 0xFF;
        to[out + i] = d * ((pair & 0xF | (high >>> i & 1) << 4) - 16);
        to[out + 16 + i] = d * ((pair >>> 4 | (high >>> 16 + i & 1) << 4) - 16);
      }
    }
  },
  Q5_1(7, 32, 24) {
    @Override
    void decode(ByteBuffer from, int at, float[] to, int out) {
      float d = half(from, at);
      float m = half(from, at + 2);
      int high = from.getInt(at + 4);
      for (int i = 0; i < 16; i++) {
        int pair = from.get(at + 8 + i) & 0xFF;
        to[out + i] = d * (pair & 0xF | (high >>> i & 1) << 4) + m;
        to[out + 16 + i] = d * (pair >>> 4 | (high >>> 16 + i & 1) << 4) + m;
      }
    }
  },
  Q8_0(8, 32, 34) {
    @Override
    void decode(ByteBuffer from, int at, float[] to, int out) {
      float d = half(from, at);
      for (int i = 0; i < 32; i++) {
        to[out + i] = from.get(at + 2 + i) * d;
      }
    }
  },
  /** Scales and minima of 4 bits for each 16 elements of 2 bits. */
  Q2_K(10, 256, 84) {
    @Override
    void decode(ByteBuffer from, int at, float[] to, int out) {
      float d = half(from, at + 80);
      float dmin = half(from, at + 82);
      for (int group = 0; group < 16; group++) {
        int both = from.get(at + group) & 0xFF;
        float scale = d * (both & 0xF);
        float min = dmin * (both >>> 4);
        for (int i = 0; i < 16; i++) {
          to[out + group * 16 + i] = scale * twoBits(from, at + 16, group, i) - min;
        }
      }
    }
  },
  /** Signed scales of 6 bits for each 16 elements of 2 bits and a third in a mask. */
  Q3_K(11, 256, 110) {
    @Override
    void decode(ByteBuffer from, int at, float[] to, int out) {
      float d = half(from, at + 108);
      for (int group = 0; group < 16; group++) {
        int low = from.get(at + 96 + group % 8) >>> group / 8 * 4 & 0xF;
        int high = from.get(at + 104 + group % 4) >>> group / 4 * 2 & 3;
        float scale = d * ((low | high << 4) - 32);
        for (int i = 0; i < 16; i++) {
          int element = group * 16 + i;
          // The offset is there where the mask is not.
          int third = from.get(at + element % 32) >>> element / 32 & 1 ^ 1;
          to[out + element] = scale * (twoBits(from, at + 32, group, i) - (third << 2));
        }
      }
    }
  },
  /** Scales and minima of 6 bits for each 32 elements of 4 bits. */
  Q4_K(12, 256, 144) {
    @Override
    void decode(ByteBuffer from, int at, float[] to, int out) {
      float d = half(from, at);
      float dmin = half(from, at + 2);
      for (int group = 0; group < 8; group++) {
        float scale = d * sixBitScale(from, at + 4, group);
        float min = dmin * sixBitMin(from, at + 4, group);
        for (int i = 0; i < 32; i++) {
          to[out + group * 32 + i] = scale * fourBits(from, at + 16, group, i) - min;
        }
      }
    }
  },
  /** As Q4_K, with a fifth bit of each element. */
  Q5_K(13, 256, 176) {
    @Override
    void decode(ByteBuffer from, int at, float[] to, int out) {
      float d = half(from, at);
      float dmin = half(from, at + 2);
      for (int group = 0; group < 8; group++) {
        float scale = d * sixBitScale(from, at + 4, group);
        float min = dmin * sixBitMin(from, at + 4, group);
        for (int i = 0; i < 32; i++) {
          int fifth = from.get(at + 16 + i) >>> group & 1;
          to[out + group * 32 + i] = scale * (fourBits(from, at + 48, group, i) | fifth << 4) - min;
        }
      }
    }
  },
  /** Signed scales of 8 bits for each 16 elements of 4 and 2 bits. */
  Q6_K(14, 256, 210) {
    @Override
    void decode(ByteBuffer from, int at, float[] to, int out) {
      float d = half(from, at + 208);
      for (int group = 0; group < 16; group++) {
        float scale = d * from.get(at + 192 + group);
        for (int i = 0; i < 16; i++) {
          int element = group * 16 + i;
          // Two halves of 128: their low bits are 64 bytes, each with two elements.
          int low =
              from.get(at + element / 128 * 64 + element % 64) >>> element % 128 / 64 * 4 & 0xF;
          int high =
              from.get(at + 128 + element / 128 * 32 + element % 32) >>> element % 128 / 32 * 2 & 3;
          to[out + element] = scale * ((low | high << 4) - 32);
        }
      }
    }
  },
  /** A float32 scale, 256 elements of 8 bits, and their sums, which are not needed. */
  Q8_K(15, 256, 292) {
    @Override
    void decode(ByteBuffer from, int at, float[] to, int out) {
      float d = from.getFloat(at);
      for (int i = 0; i < 256; i++) {
        to[out + i] = d * from.get(at + 4 + i);
      }
    }
  },
  I8(24, DType.I8),
  I16(25, DType.I16),
  I32(26, DType.I32),
  I64(27, DType.I64),
  F64(28, DType.F64),
  BF16(30, DType.BF16);

  /** What is known but not read, for messages, by ggml's numbers. */
  private static final String[] OTHERS = {
    "9=Q8_1",
    "16=IQ2_XXS",
    "17=IQ2_XS",
    "18=IQ3_XXS",
    "19=IQ1_S",
    "20=IQ4_NL",
    "21=IQ3_S",
    "22=IQ2_S",
    "23=IQ4_XS",
    "29=IQ1_M",
    "34=TQ1_0",
    "35=TQ2_0",
    "39=MXFP4",
    "40=NVFP4",
    "41=Q1_0"
  };

  private final int code;
  private final int blockElements;
  private final int blockBytes;
  private final DType shown;
  private final boolean quantized;

  GgmlType(int code, DType plain) {
    this.code = code;
    this.blockElements = 1;
    this.blockBytes = plain.bytes();
    this.shown = plain;
    this.quantized = false;
  }

  GgmlType(int code, int blockElements, int blockBytes) {
    this.code = code;
    this.blockElements = blockElements;
    this.blockBytes = blockBytes;
    this.shown = DType.F32;
    this.quantized = true;
  }

  static Optional<GgmlType> of(int code) {
    return Arrays.stream(values()).filter(type -> type.code == code).findFirst();
  }

  /** The name of a type that is not read. */
  static String nameOf(int code) {
    return Arrays.stream(OTHERS)
        .filter(other -> other.startsWith(code + "="))
        .map(other -> other.substring(other.indexOf('=') + 1))
        .findFirst()
        .orElse("number " + code);
  }

  static String names() {
    return Arrays.stream(values()).map(Enum::name).collect(Collectors.joining(", "));
  }

  /** ggml's number. */
  int code() {
    return code;
  }

  /** Whether elements are computed when they are read. */
  boolean isQuantized() {
    return quantized;
  }

  /** The type of the elements as they are read; float32 for quantized ones. */
  DType shown() {
    return shown;
  }

  /** Elements of a block, which never spans two rows of a tensor. */
  int blockElements() {
    return blockElements;
  }

  int blockBytes() {
    return blockBytes;
  }

  /**
   * Computes a block's elements.
   *
   * @param from little-endian
   * @param at where the block begins in it
   * @param out where its elements begin in {@code to}
   */
  void decode(ByteBuffer from, int at, float[] to, int out) {
    throw new AssertionError(this + " is not quantized");
  }

  private static float half(ByteBuffer from, int at) {
    return HalfPrecision.f16ToFloat(from.getShort(at));
  }

  /** Of 32 bytes for each 128 elements, whose bytes each have four elements, 32 apart. */
  private static int twoBits(ByteBuffer from, int at, int group, int i) {
    int element = group * 16 + i;
    return from.get(at + element / 128 * 32 + element % 32) >>> element % 128 / 32 * 2 & 3;
  }

  /** Of 32 bytes for each two groups of 32. */
  private static int fourBits(ByteBuffer from, int at, int group, int i) {
    return from.get(at + group / 2 * 32 + i) >>> group % 2 * 4 & 0xF;
  }

  /** Of 12 bytes: four scales, four minima, and the low bits of the other four of both. */
  private static int sixBitScale(ByteBuffer from, int at, int group) {
    return group < 4
        ? from.get(at + group) & 0x3F
        : from.get(at + 4 + group) & 0xF | from.get(at + group - 4) >>> 2 & 0x30;
  }

  private static int sixBitMin(ByteBuffer from, int at, int group) {
    return group < 4
        ? from.get(at + 4 + group) & 0x3F
        : from.get(at + 4 + group) >>> 4 & 0xF | from.get(at + group) >>> 2 & 0x30;
  }
}
