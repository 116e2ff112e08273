/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.util.Arrays;
import org.apache.flink.metrics.Histogram;
import org.apache.flink.metrics.HistogramStatistics;

/**
 * A histogram of the last values, written by the device's thread and read by reporters. Flink has
 * one of its own, but not for users.
 */
final class RecentValues implements Histogram {
  private final long[] ring;
  private long count;

  /**
   * @param window how many of the last values count
   */
  RecentValues(int window) {
    ring = new long[window];
  }

  @Override
  public synchronized void update(long value) {
    ring[(int) (count % ring.length)] = value;
    count++;
  }

  @Override
  public synchronized long getCount() {
    return count;
  }

  @Override
  public synchronized HistogramStatistics getStatistics() {
    return new Statistics(Arrays.copyOf(ring, (int) Math.min(count, ring.length)));
  }

  /** Of a sorted copy. */
  private static final class Statistics extends HistogramStatistics {
    private final long[] sorted;

    Statistics(long[] values) {
      Arrays.sort(values);
      sorted = values;
    }

    /** Linear between neighbours; 0 without values. */
    @Override
    public double getQuantile(double quantile) {
      if (sorted.length == 0) {
        return 0;
      }
      double position = Math.min(1, Math.max(0, quantile)) * (sorted.length - 1);
      int below = (int) position;
      int above = Math.min(below + 1, sorted.length - 1);
      return sorted[below] + (position - below) * (sorted[above] - sorted[below]);
    }

    @Override
    public long[] getValues() {
      return sorted.clone();
    }

    @Override
    public int size() {
      return sorted.length;
    }

    @Override
    public double getMean() {
      return Arrays.stream(sorted).average().orElse(0);
    }

    @Override
    public double getStdDev() {
      double mean = getMean();
      return Math.sqrt(
          Arrays.stream(sorted).mapToDouble(v -> (v - mean) * (v - mean)).average().orElse(0));
    }

    @Override
    public long getMax() {
      return sorted.length == 0 ? 0 : sorted[sorted.length - 1];
    }

    @Override
    public long getMin() {
      return sorted.length == 0 ? 0 : sorted[0];
    }
  }
}
