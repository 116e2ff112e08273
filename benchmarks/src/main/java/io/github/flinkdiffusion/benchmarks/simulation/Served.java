/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.simulation;

import java.util.List;
import java.util.function.Predicate;
import org.apache.commons.math3.stat.descriptive.rank.Percentile;

/**
 * A request that was answered.
 *
 * @param atNanos when its picture was there
 */
public record Served(Arrival arrival, long atNanos) {

  /** From its arrival to its picture. */
  public double latencySeconds() {
    return (atNanos - arrival.atNanos()) / 1e9;
  }

  /**
   * A percentile of the latency, in seconds.
   *
   * @param which requests count; at least one must
   * @param percent above 0, to 100
   */
  public static double latency(List<Served> served, Predicate<Arrival> which, double percent) {
    double[] latencies =
        served.stream()
            .filter(each -> which.test(each.arrival()))
            .mapToDouble(Served::latencySeconds)
            .toArray();
    if (latencies.length == 0) {
      throw new IllegalArgumentException("No request of this kind was served.");
    }
    return new Percentile(percent).evaluate(latencies);
  }

  /** Pictures a second, from the first arrival to the last picture. */
  public static double throughput(List<Served> served) {
    long begin = served.stream().mapToLong(each -> each.arrival().atNanos()).min().orElseThrow();
    long end = served.stream().mapToLong(Served::atNanos).max().orElseThrow();
    return served.size() * 1e9 / (end - begin);
  }
}
