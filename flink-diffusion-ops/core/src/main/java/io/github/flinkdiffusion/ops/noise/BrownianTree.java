/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.noise;

import java.math.BigDecimal;
import java.math.RoundingMode;
import org.apache.flink.annotation.Internal;

/**
 * A Brownian path over an interval, any increment of which can be asked for in any order, after
 * torchsde's {@code BrownianTree}: {@code BrownianInterval} with {@code halfway_tree}, a tolerance
 * of 1e-6 and a pool of 24 words, as diffusers' {@code DPMSolverSDEScheduler} has it. The path is
 * built by halving: the increment over an interval is known, that over its left half is drawn with
 * the mean and variance of a Brownian bridge, from a seed that follows from the place of the
 * interval in the tree.
 *
 * <p>The values are torchsde's to the bit in float32, given the same times. It keeps nothing: an
 * increment costs about 25 draws of its size for each of its ends, and is a function of its
 * arguments alone.
 *
 * @param entropy seed of the whole path, 0 or more
 * @param start of the interval
 * @param end not before {@code start}
 */
@Internal
public record BrownianTree(long entropy, double start, double end) {
  private static final int POOL_SIZE = 24;

  /** Times are multiples of 1e-6. */
  private static final int DIGITS = 6;

  public BrownianTree {
    if (entropy < 0 || !(start <= end) || !Double.isFinite(start) || !Double.isFinite(end)) {
      throw new IllegalArgumentException(
          "A Brownian path of seed %d from %s to %s; the seed must be 0 or more, and both ends finite and in order"
              .formatted(entropy, start, end));
    }
  }

  /**
   * How far the path moves from one time to another; its variance is the time between them. What
   * lies outside the interval is cut off.
   *
   * @param from not after {@code to}
   * @param n values, each with a path of its own
   */
  public float[] increment(double from, double to, int n) {
    double first = rounded(start);
    double last = rounded(end);
    double within = rounded(Math.min(last, Math.max(first, from)));
    double until = rounded(Math.min(last, Math.max(first, to)));
    float[] sum = new float[n];
    if (within >= until) {
      return sum;
    }
    float[] whole =
        new TorchGenerator(new SeedSequence(entropy, POOL_SIZE).state(1)[0]).gaussian(n);
    float scale = (float) Math.sqrt(end - start);
    for (int i = 0; i < n; i++) {
      whole[i] *= scale;
    }
    add(first, last, whole, 0, 0, within, until, sum);
    return sum;
  }

  /**
   * Adds what lies between two times within an interval of the tree.
   *
   * @param moved how far the path moves over the interval
   * @param place number of the interval among those of its depth
   */
  private void add(
      double left,
      double right,
      float[] moved,
      long place,
      int depth,
      double from,
      double to,
      float[] sum) {
    if (from == left && to == right) {
      for (int i = 0; i < sum.length; i++) {
        sum[i] += moved[i];
      }
      return;
    }
    double middle = rounded(0.5 * (right + left));
    float[] leftMoved = leftHalf(left, middle, right, moved, place, depth);
    if (from < middle) {
      add(left, middle, leftMoved, 2 * place, depth + 1, from, Math.min(to, middle), sum);
    }
    if (to > middle) {
      float[] rightMoved = new float[moved.length];
      for (int i = 0; i < moved.length; i++) {
        rightMoved[i] = moved[i] - leftMoved[i];
      }
      add(middle, right, rightMoved, 2 * place + 1, depth + 1, Math.max(from, middle), to, sum);
    }
  }

  /** float32 in the reference's order of operations. */
  private float[] leftHalf(
      double left, double middle, double right, float[] moved, long place, int depth) {
    int seed = new SeedSequence(entropy, POOL_SIZE, place, depth).state(1)[0];
    float[] half = new TorchGenerator(seed).gaussian(moved.length);
    double reciprocal = 1 / (right - left);
    double toMiddle = middle - left;
    float share = (float) toMiddle;
    float perTime = (float) reciprocal;
    float deviation = (float) Math.sqrt(toMiddle * (right - middle) * reciprocal);
    for (int i = 0; i < half.length; i++) {
      half[i] = share * moved[i] * perTime + deviation * half[i];
    }
    return half;
  }

  /** Python's round: to the nearest decimal of the exact value. */
  private static double rounded(double time) {
    return new BigDecimal(time).setScale(DIGITS, RoundingMode.HALF_EVEN).doubleValue();
  }
}
