/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import java.util.List;
import java.util.Optional;

/**
 * Native memory that a kind of device call takes, by rows and their size: measured at small sizes,
 * extended to large ones.
 *
 * <p>Rows take equal shares. With the size, memory grows in proportion, since a layer's result has
 * a place for each number; where attention holds a value for each pair of places it grows faster,
 * up to their square. The two largest measurements say how fast; growth that is slower than in
 * proportion (what does not depend on the size) is taken for proportional, which errs on the safe
 * side.
 *
 * @param size of a row in the largest measurement: numbers of a sample, or pixels of an image
 * @param rowBytes of one row there
 * @param exponent by which memory grows with the size, from 1 to 2
 */
record CallMemory(long size, long rowBytes, double exponent) {
  /** What a measurement may be off by: Java's heap and other threads are measured, too. */
  static final long NOISE_BYTES = 4 << 20;

  /** Below it, growth is in proportion but for noise. */
  private static final double PROPORTIONAL = 1.2;

  /**
   * @param size of each row
   * @param bytes by which resident memory grew during the call
   */
  record Measurement(int rows, long size, long bytes) {
    private double rowBytes() {
      return Math.max(bytes, NOISE_BYTES) / (double) rows;
    }
  }

  /**
   * @param measurements with sizes ascending, or all of one size; at least one
   */
  static CallMemory of(List<Measurement> measurements) {
    Measurement last = measurements.get(measurements.size() - 1);
    Optional<Measurement> before =
        measurements.stream().filter(one -> one.size() < last.size()).reduce((a, b) -> b);
    double most =
        measurements.stream()
            .filter(one -> one.size() == last.size())
            .mapToDouble(Measurement::rowBytes)
            .max()
            .orElseThrow();
    double exponent =
        before
            .map(
                smaller ->
                    Math.log(most / smaller.rowBytes())
                        / Math.log((double) last.size() / smaller.size()))
            .orElse(1.0);
    return new CallMemory(
        last.size(), (long) most, exponent < PROPORTIONAL ? 1 : Math.min(2, exponent));
  }

  /** Bytes of a call with so many rows; a smaller size than any measured counts in proportion. */
  double bytes(int rows, long ofSize) {
    double ratio = (double) ofSize / size;
    return rows * rowBytes * Math.pow(ratio, ratio < 1 ? 1 : exponent);
  }
}
