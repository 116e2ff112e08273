/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.simulation;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.benchmarks.simulation.RequestLevelServer.Mixing;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;

class RequestLevelServerTest {
  private static final Duration DELAY = Duration.ofNanos(1000);

  /** Ten a step, one to begin and one for each picture at the end. */
  private static final CallCosts COSTS =
      new CallCosts(
          CallCosts.Curve.line(1, 0), CallCosts.Curve.line(10, 0), CallCosts.Curve.line(0, 1));

  private final Clock clock = Clock.simulated();

  private List<Served> serve(Mixing mixing, Arrival... arrivals) {
    try (Server server =
        new RequestLevelServer(
            StandInPipeline.of(COSTS, clock),
            arrival -> StandInPipeline.request(arrival, "r" + arrival.number()),
            2,
            DELAY,
            mixing,
            clock)) {
      return Server.serve(List.of(arrivals), server, clock);
    }
  }

  @Test
  void aFullBatchStartsAtOnceAndIsAnsweredAsOne() {
    Arrival shortOne = new Arrival(0, 0, 1);
    Arrival longOne = new Arrival(1, 5, 4);

    assertThat(serve(Mixing.SHARED_CALLS, shortOne, longOne))
        .containsExactly(new Served(shortOne, 5 + 1 + 40 + 2), new Served(longOne, 48));
  }

  @Test
  void aPipelineThatTakesOneStepCountIsCalledForEach() {
    Arrival shortOne = new Arrival(0, 0, 1);
    Arrival longOne = new Arrival(1, 5, 4);

    assertThat(serve(Mixing.CALL_PER_STEP_COUNT, shortOne, longOne))
        .containsExactly(
            new Served(shortOne, 5 + (1 + 10 + 1) + (1 + 40 + 1)), new Served(longOne, 59));
  }

  @Test
  void aRequestAloneWaitsForTheDelay() {
    Arrival alone = new Arrival(0, 7, 2);

    assertThat(serve(Mixing.SHARED_CALLS, alone))
        .containsExactly(new Served(alone, 7 + 1000 + 1 + 20 + 1));
  }

  @Test
  void whatWaitedWhileTheDeviceWasBusyHasWaited() {
    Arrival first = new Arrival(0, 0, 200);
    Arrival second = new Arrival(1, 0, 200);
    Arrival third = new Arrival(2, 10, 1);

    List<Served> served = serve(Mixing.SHARED_CALLS, first, second, third);

    assertThat(served.get(2)).isEqualTo(new Served(third, 2003 + 1 + 10 + 1));
  }

  @Test
  void aBatchIsOfOneSize() {
    Arrival small = new Arrival(0, 0, 1, 48);
    Arrival large = new Arrival(1, 0, 1, 96);
    Arrival alsoSmall = new Arrival(2, 0, 1, 48);

    assertThat(serve(Mixing.SHARED_CALLS, small, large, alsoSmall))
        .containsExactly(
            new Served(small, 1 + 10 + 2),
            new Served(alsoSmall, 13),
            new Served(large, 1000 + 1 + 10 + 1));
  }
}
