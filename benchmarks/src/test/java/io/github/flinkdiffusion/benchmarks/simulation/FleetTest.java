/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.simulation;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.function.ToIntFunction;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class FleetTest {
  private static final CallCosts COSTS =
      new CallCosts(
          CallCosts.Curve.line(1e6, 0),
          CallCosts.Curve.line(1e7, 1e6),
          CallCosts.Curve.line(0, 1e6));
  private final Fleet fleet = new Fleet(new StepLevelModel(COSTS, 4), 4);

  @Test
  void servesAllAndKnowsItsBusiestDevice() {
    List<Arrival> arrivals = Load.mixed(1).poisson(400, 40);

    Fleet.Run even = fleet.serve(arrivals, fleet.inTurn());
    Fleet.Run skewed = fleet.serve(arrivals, fleet.byPartition(4, 1, 1));

    assertThat(even.served())
        .extracting(Served::arrival)
        .containsExactlyInAnyOrderElementsOf(arrivals);
    assertThat(even.busiest()).isBetween(even.busy(), 1.0);
    assertThat(skewed.busiest() / skewed.busy()).isGreaterThan(even.busiest() / even.busy());
    assertThat(skewed.mostInFlight()).isGreaterThan(even.mostInFlight());
  }

  @Test
  void sixPartitionsOnFourDevicesLoadTwoOfThemTwice() {
    ToIntFunction<Arrival> routing = fleet.byPartition(6, 0, 9);

    var counts =
        IntStream.range(0, 60_000)
            .boxed()
            .collect(
                Collectors.groupingBy(
                    i -> routing.applyAsInt(new Arrival(i, 0, 1)), Collectors.counting()));

    assertThat(counts.get(0)).isBetween(19_000L, 21_000L);
    assertThat(counts.get(1)).isBetween(19_000L, 21_000L);
    assertThat(counts.get(2)).isBetween(9_500L, 10_500L);
    assertThat(counts.get(3)).isBetween(9_500L, 10_500L);
  }
}
