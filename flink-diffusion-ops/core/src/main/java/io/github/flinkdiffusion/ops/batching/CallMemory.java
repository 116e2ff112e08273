package io.github.flinkdiffusion.ops.batching;

import java.util.List;

/**
 * Native memory that a kind of device call takes, by rows and pixels: measured at small sizes,
 * extended to large ones.
 *
 * <p>Rows take equal shares. With the pixels, memory grows in proportion, since a layer's result
 * has a place for each; where attention holds a value for each pair of pixels it grows faster, up
 * to their square. The two largest measurements say how fast; growth that is slower than in
 * proportion (what does not depend on the size) is taken for proportional, which errs on the safe
 * side.
 *
 * @param pixels of the largest measurement
 * @param rowBytes of one row there
 * @param exponent by which memory grows with pixels, from 1 to 2
 */
record CallMemory(long pixels, long rowBytes, double exponent) {
  /** What a measurement may be off by: Java's heap and other threads are measured, too. */
  static final long NOISE_BYTES = 4 << 20;

  /** Below it, growth is in proportion but for noise. */
  private static final double PROPORTIONAL = 1.2;

  /**
   * @param pixels of each row's image
   * @param bytes by which resident memory grew during the call
   */
  record Measurement(int rows, long pixels, long bytes) {
    private double rowBytes() {
      return Math.max(bytes, NOISE_BYTES) / (double) rows;
    }
  }

  /**
   * @param measurements with pixels ascending; at least one
   */
  static CallMemory of(List<Measurement> measurements) {
    Measurement last = measurements.get(measurements.size() - 1);
    double exponent = 1;
    if (measurements.size() > 1) {
      Measurement before = measurements.get(measurements.size() - 2);
      exponent =
          Math.log(last.rowBytes() / before.rowBytes())
              / Math.log((double) last.pixels() / before.pixels());
    }
    return new CallMemory(
        last.pixels(), (long) last.rowBytes(), exponent < PROPORTIONAL ? 1 : Math.min(2, exponent));
  }

  /** Bytes of a call with so many rows; a smaller image than any measured counts in proportion. */
  double bytes(int rows, long ofPixels) {
    double ratio = (double) ofPixels / pixels;
    return rows * rowBytes * Math.pow(ratio, ratio < 1 ? 1 : exponent);
  }
}
