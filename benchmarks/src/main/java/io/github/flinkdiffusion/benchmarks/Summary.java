/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import java.util.List;
import org.apache.commons.math3.stat.descriptive.DescriptiveStatistics;

/** Median and range of some numbers. */
public record Summary(double median, double least, double greatest) {

  /**
   * @param values at least one
   */
  public static Summary of(List<Double> values) {
    if (values.isEmpty()) {
      throw new BenchmarkException("There is nothing to summarise: no value was measured.");
    }
    DescriptiveStatistics statistics = new DescriptiveStatistics();
    values.forEach(statistics::addValue);
    return new Summary(statistics.getPercentile(50), statistics.getMin(), statistics.getMax());
  }
}
