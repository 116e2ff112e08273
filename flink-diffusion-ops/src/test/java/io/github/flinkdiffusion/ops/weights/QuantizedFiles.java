/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;

/** Files of quantized weights in a network's shapes, of random numbers that a network can take. */
public final class QuantizedFiles {
  private static final float SIZE = 0.05f;

  private QuantizedFiles() {}

  /**
   * Writes a GGUF file with the names and shapes of a store: every tensor of whole blocks is of the
   * type, the others are the store's in float32. Rows that are too short say their shape beside.
   */
  public static Path gguf(Path path, TensorStore like, String typeName) throws IOException {
    GgmlType type = GgmlType.valueOf(typeName);
    Random random = new Random(typeName.hashCode());
    GgufBytes file = new GgufBytes();
    ByteArrayOutputStream data = new ByteArrayOutputStream();
    for (String name : like.names()) {
      TensorInfo info = like.info(name);
      long at = data.size();
      if (info.elements() % type.blockElements() == 0 && info.shape().length > 1) {
        long blocks = info.elements() / type.blockElements();
        file.tensor(name, GgmlType.valueOf(typeName).code(), at, type.blockElements(), blocks);
        file.shape("comfy.gguf.orig_shape." + name, info.shape());
        for (int i = 0; i < blocks; i++) {
          data.writeBytes(block(type, random));
        }
      } else {
        long[] shape = info.shape();
        long[] innermostFirst = new long[shape.length];
        for (int i = 0; i < shape.length; i++) {
          innermostFirst[i] = shape[shape.length - 1 - i];
        }
        file.tensor(name, 0, at, innermostFirst);
        like.writeTo(name, DType.F32, data);
      }
      while (data.size() % 32 != 0) {
        data.write(0);
      }
    }
    return file.data(data.toByteArray()).write(path);
  }

  /** Random codes, with scales that make them small. */
  private static byte[] block(GgmlType type, Random random) {
    ByteBuffer block = ByteBuffer.allocate(type.blockBytes()).order(ByteOrder.LITTLE_ENDIAN);
    random.nextBytes(block.array());
    List<Integer> scales =
        switch (type) {
          case Q4_1, Q5_1, Q4_K, Q5_K -> List.of(0, 2);
          case Q2_K -> List.of(80, 82);
          case Q3_K -> List.of(108);
          case Q6_K -> List.of(208);
          case Q8_K -> List.of();
          default -> List.of(0);
        };
    for (int at : scales) {
      block.putShort(at, HalfPrecision.floatToF16(1));
    }
    if (type == GgmlType.Q8_K) {
      block.putFloat(0, 1);
    }
    float[] ones = new float[type.blockElements()];
    type.decode(block, 0, ones, 0);
    float largest = 0;
    for (float one : ones) {
      largest = Math.max(largest, Math.abs(one));
    }
    for (int at : scales) {
      block.putShort(at, HalfPrecision.floatToF16(SIZE / largest));
    }
    if (type == GgmlType.Q8_K) {
      block.putFloat(0, SIZE / largest);
    }
    return block.array();
  }

  /**
   * Writes a safetensors file with the names and shapes of a store: matrices are of 8 bits, and
   * have scales if asked for; the others are the store's.
   */
  public static Path eightBit(Path path, TensorStore like, DType dtype, boolean scaled)
      throws IOException {
    Random random = new Random(dtype.ordinal());
    HeapTensors.Builder file = HeapTensors.builder();
    for (String name : like.names()) {
      TensorInfo info = like.info(name);
      if (info.shape().length < 2 || !name.endsWith(".weight")) {
        file.add(name, like.floats(name), info.shape());
        continue;
      }
      byte[] codes = new byte[(int) info.elements()];
      for (int i = 0; i < codes.length; i++) {
        // Of both signs, and finite.
        codes[i] = (byte) (random.nextInt(scaled ? 0x70 : 0x20) | random.nextInt(2) << 7);
      }
      file.add(TensorInfo.of(name, dtype, info.shape()), codes);
      if (scaled) {
        float largest = EightBitFloats.toFloat(dtype, (byte) 0x70);
        String layer = name.substring(0, name.length() - ".weight".length());
        file.add(layer + ".scale_weight", new float[] {SIZE / largest});
      }
    }
    if (scaled) {
      file.add(TensorInfo.of("scaled_fp8", dtype, 2), new byte[2]);
    }
    SafetensorsWriter.write(path, file.build());
    return path;
  }

  /** The same weights as plain float32. */
  public static void plain(Path from, Path to) {
    try (TensorStore store = WeightFiles.open(from, new FileDigests())) {
      HeapTensors.Builder plain = HeapTensors.builder();
      store.names().forEach(name -> plain.add(name, store.floats(name), store.info(name).shape()));
      SafetensorsWriter.write(to, plain.build());
    }
  }
}
