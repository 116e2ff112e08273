/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.simulation;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The model decides as the batcher does: every picture at the same nanosecond. */
class StepLevelModelTest {
  private static final CallCosts COSTS =
      new CallCosts(
          CallCosts.Curve.line(700_000, 1_300_000),
          CallCosts.Curve.line(9_000_000, 1_700_000),
          CallCosts.Curve.line(2_000_000, 4_100_000));

  private static final CallCosts OF_LARGE_IMAGES =
      new CallCosts(
          CallCosts.Curve.line(700_000, 1_300_000),
          CallCosts.Curve.line(9_000_000, 4_700_000),
          CallCosts.Curve.line(2_000_000, 9_100_000));

  private static CallCosts costs(int size) {
    return size > Arrival.ONE_SIZE ? OF_LARGE_IMAGES : COSTS;
  }

  @ParameterizedTest
  @CsvSource({
    "1, 2, false",
    "3, 7, false",
    "8, 20, false",
    "8, 60, false",
    "8, 30, true",
    "16, 90, true"
  })
  void servesEveryRequestWhenTheBatcherDoes(int rowLimit, double perSecond, boolean bursts) {
    Load load = Load.mixed(42);
    List<Arrival> arrivals =
        bursts
            ? load.bursts(400, perSecond, new Load.Burst(3, 0.2, 6))
            : load.poisson(400, perSecond);

    assertThat(new StepLevelModel(StepLevelModelTest::costs, rowLimit).serve(arrivals).served())
        .isEqualTo(byTheBatcher(arrivals, rowLimit));
  }

  @ParameterizedTest
  @CsvSource({"1", "5", "16"})
  void worksOffABacklogAsTheBatcherDoes(int rowLimit) {
    List<Arrival> arrivals = Load.mixed(7).backlog(200);

    assertThat(new StepLevelModel(StepLevelModelTest::costs, rowLimit).serve(arrivals).served())
        .isEqualTo(byTheBatcher(arrivals, rowLimit));
  }

  @ParameterizedTest
  @CsvSource({"4", "8"})
  void servesSeveralSizesAsTheBatcherDoes(int rowLimit) {
    Load load = Load.mixed(11).withSizes(List.of(48, 64, 96));
    List<Arrival> arrivals = load.poisson(300, 15);
    List<Arrival> backlog = load.backlog(150);

    assertThat(new StepLevelModel(StepLevelModelTest::costs, rowLimit).serve(arrivals).served())
        .isEqualTo(byTheBatcher(arrivals, rowLimit));
    assertThat(new StepLevelModel(StepLevelModelTest::costs, rowLimit).serve(backlog).served())
        .isEqualTo(byTheBatcher(backlog, rowLimit));
  }

  private static List<Served> byTheBatcher(List<Arrival> arrivals, int rowLimit) {
    Clock clock = Clock.simulated();
    try (Server server =
        new StepLevelServer(
            StandInPipeline.of(StepLevelModelTest::costs, clock),
            arrival -> StandInPipeline.request(arrival, "r" + arrival.number()),
            rowLimit,
            clock)) {
      return Server.serve(arrivals, server, clock);
    }
  }
}
