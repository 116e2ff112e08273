/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

/** What a finding should be. */
public record Goal(Side side, double limit) {
  /** On which side of the limit the good numbers are. */
  public enum Side {
    AT_LEAST,
    AT_MOST
  }

  public static Goal atLeast(double limit) {
    return new Goal(Side.AT_LEAST, limit);
  }

  public static Goal atMost(double limit) {
    return new Goal(Side.AT_MOST, limit);
  }

  public boolean isMetBy(double value) {
    return side == Side.AT_LEAST ? value >= limit : value <= limit;
  }
}
