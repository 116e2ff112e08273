/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;

import org.apache.flink.metrics.HistogramStatistics;
import org.junit.jupiter.api.Test;

class RecentValuesTest {

  @Test
  void statisticsAreOfTheLastValues() {
    RecentValues values = new RecentValues(4);
    for (long value : new long[] {1000, 4, 2, 8, 6}) {
      values.update(value);
    }
    HistogramStatistics statistics = values.getStatistics();

    assertThat(values.getCount()).isEqualTo(5);
    assertThat(statistics.getValues()).containsExactly(2, 4, 6, 8);
    assertThat(statistics.size()).isEqualTo(4);
    assertThat(statistics.getMin()).isEqualTo(2);
    assertThat(statistics.getMax()).isEqualTo(8);
    assertThat(statistics.getMean()).isEqualTo(5);
    assertThat(statistics.getStdDev()).isEqualTo(Math.sqrt(5));
    assertThat(statistics.getQuantile(0)).isEqualTo(2);
    assertThat(statistics.getQuantile(0.5)).isEqualTo(5);
    assertThat(statistics.getQuantile(1)).isEqualTo(8);
  }

  @Test
  void withoutValuesEverythingIsZero() {
    HistogramStatistics statistics = new RecentValues(4).getStatistics();

    assertThat(statistics.getQuantile(0.99)).isZero();
    assertThat(statistics.getMin()).isZero();
    assertThat(statistics.getMax()).isZero();
    assertThat(statistics.getMean()).isZero();
  }
}
