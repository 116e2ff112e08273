/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import java.util.ArrayList;
import java.util.List;

/**
 * What follows from measurements: mostly a ratio of two that ran side by side.
 *
 * @param scenario as in the measurements it comes from
 * @param what is stated, e.g. {@code speed over diffusers}
 * @param unit {@code x} for ratios
 * @param value the median over the rounds
 * @param least of any round
 * @param greatest of any round
 * @param goal null where there is none
 */
public record Finding(
    String scenario,
    String what,
    String unit,
    double value,
    double least,
    double greatest,
    Goal goal) {

  /**
   * How many times as fast: the peer's time over ours, paired by round, since what else the machine
   * did in a round slowed both.
   *
   * @param ours times
   * @param peer times of as many rounds
   * @param goal null for none
   */
  public static Finding speed(Measurement ours, Measurement peer, Goal goal) {
    return paired(ours.scenario(), "speed over " + peer.subject(), peer, ours, goal);
  }

  /**
   * Our number over the peer's, paired by round.
   *
   * @param what is stated, e.g. {@code throughput over the bare loop}
   * @param goal null for none
   */
  public static Finding ratio(String what, Measurement ours, Measurement peer, Goal goal) {
    return paired(ours.scenario(), what, ours, peer, goal);
  }

  /** A measurement on its own, against an absolute goal. */
  public static Finding absolute(String what, Measurement ours, Goal goal) {
    Summary summary = ours.summary();
    return new Finding(
        ours.scenario(),
        what,
        ours.unit(),
        summary.median(),
        summary.least(),
        summary.greatest(),
        goal);
  }

  private static Finding paired(
      String scenario, String what, Measurement above, Measurement below, Goal goal) {
    if (above.values().size() != below.values().size() || !above.unit().equals(below.unit())) {
      throw new BenchmarkException(
          "Cannot compare %s of %s with %s of %s: they need the same rounds and units."
              .formatted(above.scenario(), above.subject(), below.scenario(), below.subject()));
    }
    List<Double> ratios = new ArrayList<>();
    for (int i = 0; i < above.values().size(); i++) {
      ratios.add(above.values().get(i) / below.values().get(i));
    }
    Summary summary = Summary.of(ratios);
    return new Finding(
        scenario, what, "x", summary.median(), summary.least(), summary.greatest(), goal);
  }
}
