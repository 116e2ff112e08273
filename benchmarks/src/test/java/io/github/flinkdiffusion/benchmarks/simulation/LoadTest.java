/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.simulation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import org.junit.jupiter.api.Test;

class LoadTest {
  private static final int COUNT = 20_000;
  private final Load load = Load.mixed(3);

  @Test
  void aPoissonProcessHasItsRate() {
    List<Arrival> arrivals = load.poisson(COUNT, 50);

    assertThat(COUNT * 1e9 / arrivals.get(COUNT - 1).atNanos()).isCloseTo(50, within(1.0));
    assertThat(arrivals).isSortedAccordingTo((a, b) -> Long.compare(a.atNanos(), b.atNanos()));
    assertThat(arrivals.stream().mapToInt(Arrival::steps).average().orElseThrow())
        .isCloseTo(load.meanSteps(), within(0.5));
  }

  @Test
  void burstsKeepTheAverageAndAreDenserByTheirFactor() {
    Load.Burst burst = new Load.Burst(10, 0.2, 5);

    List<Arrival> arrivals = load.bursts(COUNT, 50, burst);

    assertThat(COUNT * 1e9 / arrivals.get(COUNT - 1).atNanos()).isCloseTo(50, within(2.0));
    double inBursts =
        arrivals.stream().filter(each -> each.atNanos() / 1e9 % 10 < 2).count() / (double) COUNT;
    // 0.2 x 5 of 0.8 x 1 + 0.2 x 5
    assertThat(inBursts).isCloseTo(1 / 1.8, within(0.02));
  }

  @Test
  void theSameSeedGivesTheSameRequests() {
    assertThat(load.poisson(100, 5)).isEqualTo(Load.mixed(3).poisson(100, 5));
  }

  @Test
  void otherSizesChangeNeitherMomentsNorSteps() {
    List<Arrival> mixed = load.withSizes(List.of(48, 96)).poisson(1000, 5);

    assertThat(mixed.stream().map(each -> new Arrival(each.number(), each.atNanos(), each.steps())))
        .isEqualTo(load.poisson(1000, 5));
    assertThat(mixed.stream().filter(each -> each.size() == 48).count()).isBetween(430L, 570L);
    assertThat(mixed).extracting(Arrival::size).containsOnly(48, 96);
  }
}
