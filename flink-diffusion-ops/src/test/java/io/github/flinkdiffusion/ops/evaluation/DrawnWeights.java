/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.evaluation;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.zip.CRC32;

/** Numbers that Java and Python draw alike: {@code src/test/python/drawn_weights.py}. */
public final class DrawnWeights {
  private DrawnWeights() {}

  private static long start(String name) {
    CRC32 crc = new CRC32();
    crc.update(name.getBytes(StandardCharsets.UTF_8));
    return crc.getValue();
  }

  /** SplitMix64. */
  private static long bits(long start, int index) {
    long z = start + (index + 1L) * 0x9E3779B97F4A7C15L;
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }

  private static float[] drawn(String name, long[] shape) {
    float[] values = new float[(int) Graph.elements(shape)];
    long start = start(name);
    for (int i = 0; i < values.length; i++) {
      values[i] = (bits(start, i) >>> 40) * 0x1p-24f;
    }
    if (name.startsWith("lin")) {
      return values;
    }
    boolean aroundOne = name.matches(".*(bn\\d?\\.weight|running_var)");
    float bound = shape.length > 1 ? (float) Math.sqrt(6.0 * shape[0] / values.length) : 0.1f;
    for (int i = 0; i < values.length; i++) {
      values[i] = aroundOne ? values[i] + 0.5f : (2 * values[i] - 1) * bound;
    }
    return values;
  }

  /** Writes a network's weights. */
  public static void write(Path file, Graph graph) {
    HeapTensors.Builder tensors = HeapTensors.builder();
    for (Map.Entry<String, long[]> each : graph.parameterShapes().entrySet()) {
      tensors.add(each.getKey(), drawn(each.getKey(), each.getValue()), each.getValue());
    }
    SafetensorsWriter.write(file, tensors.build());
  }

  /**
   * A picture of noise.
   *
   * @param pale whether it has less contrast
   */
  public static Raster picture(String name, int height, int width, boolean pale) {
    float[] data = new float[3 * height * width];
    long start = start(name);
    for (int i = 0; i < data.length; i++) {
      int level = (int) (bits(start, i) >>> 56);
      level = pale ? level / 4 * 3 + 40 : level;
      // From [height,width,3] to [3,height,width].
      data[i % 3 * height * width + i / 3] = level / 255f;
    }
    return new Raster(3, height, width, data);
  }
}
