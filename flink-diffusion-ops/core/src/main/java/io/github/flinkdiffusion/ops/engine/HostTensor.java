/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import java.util.Arrays;
import org.apache.flink.annotation.Internal;

/**
 * A tensor on the Java heap, in C order. The arrays are not copied: who passes one on does not
 * write to it any more.
 */
@Internal
public sealed interface HostTensor extends Tensor {
  /**
   * float32.
   *
   * @param data the elements
   * @param shape product of sizes is the length of data
   */
  record Floats(float[] data, long... shape) implements HostTensor {
    public Floats {
      check(data.length, shape);
    }
  }

  /**
   * int64.
   *
   * @param data the elements
   * @param shape product of sizes is the length of data
   */
  record Longs(long[] data, long... shape) implements HostTensor {
    public Longs {
      check(data.length, shape);
    }
  }

  private static void check(int length, long[] shape) {
    long elements = 1;
    for (long size : shape) {
      elements = Math.multiplyExact(elements, size);
    }
    if (elements != length) {
      throw new EngineException(
          "A tensor of shape "
              + Arrays.toString(shape)
              + " has "
              + elements
              + " elements, not "
              + length
              + ".");
    }
  }
}
