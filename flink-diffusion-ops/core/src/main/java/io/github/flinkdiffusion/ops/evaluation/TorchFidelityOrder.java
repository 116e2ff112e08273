/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.evaluation;

import io.github.flinkdiffusion.ops.noise.TorchGenerator;
import org.apache.flink.annotation.Internal;

/**
 * The order in which torch-fidelity shuffles images before it cuts them into the parts of an
 * Inception Score: NumPy's {@code RandomState(2020).permutation}. With it, scores of a folder are
 * equal, and images that are sorted by class do no harm.
 */
@Internal
public final class TorchFidelityOrder {
  private static final long SEED = 2020;

  private TorchFidelityOrder() {}

  /** The same rows in that order. */
  public static float[][] shuffled(float[][] rows) {
    float[][] shuffled = rows.clone();
    TorchGenerator random = new TorchGenerator(SEED);
    for (int i = shuffled.length - 1; i > 0; i--) {
      int j = upTo(i, random);
      float[] row = shuffled[i];
      shuffled[i] = shuffled[j];
      shuffled[j] = row;
    }
    return shuffled;
  }

  /** NumPy's way: as many bits as the greatest has, drawn again while they are more. */
  private static int upTo(int greatest, TorchGenerator random) {
    int mask = -1 >>> Integer.numberOfLeadingZeros(greatest);
    int drawn;
    do {
      drawn = random.nextInt() & mask;
    } while (drawn > greatest);
    return drawn;
  }
}
