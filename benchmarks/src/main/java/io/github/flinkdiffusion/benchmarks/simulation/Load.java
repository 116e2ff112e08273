/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.simulation;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Requests of a mixture of step counts and sizes that come at random moments: the same seed gives
 * the same requests, so that two servers can be given the same. Other sizes change neither moments
 * nor steps.
 *
 * @param stepCounts of the mixture; a count that stands there twice is twice as frequent
 * @param sizes of the mixture, in the same way
 * @param longFrom steps from which a request is a long one
 * @param seed of the random numbers
 */
public record Load(List<Integer> stepCounts, List<Integer> sizes, int longFrom, long seed) {

  public Load {
    stepCounts = List.copyOf(stepCounts);
    sizes = List.copyOf(sizes);
  }

  /** Seven in ten are previews or for distilled models, three take 25 or 50 steps. */
  public static Load mixed(long seed) {
    return new Load(List.of(4, 4, 4, 4, 8, 8, 8, 25, 25, 50), List.of(Arrival.ONE_SIZE), 25, seed);
  }

  /** The same mixture, other requests at other moments. */
  public Load withSeed(long other) {
    return new Load(stepCounts, sizes, longFrom, other);
  }

  /** The same moments and steps with other sizes. */
  public Load withSizes(List<Integer> others) {
    return new Load(stepCounts, others, longFrom, seed);
  }

  /** True for a request that is a short one. */
  public boolean isShort(Arrival arrival) {
    return arrival.steps() < longFrom;
  }

  /** All at once: what is served of them in a second is a server's capacity. */
  public List<Arrival> backlog(int count) {
    SplittableRandom random = new SplittableRandom(seed);
    SplittableRandom randomSizes = randomSizes();
    List<Arrival> arrivals = new ArrayList<>();
    for (int number = 0; number < count; number++) {
      arrivals.add(new Arrival(number, 0, steps(random), one(sizes, randomSizes)));
    }
    return arrivals;
  }

  /** A Poisson process. */
  public List<Arrival> poisson(int count, double perSecond) {
    return bursts(count, perSecond, new Burst(1, 1, 1));
  }

  /**
   * A Poisson process whose rate is periodically higher.
   *
   * @param perSecond on average
   */
  public List<Arrival> bursts(int count, double perSecond, Burst burst) {
    SplittableRandom random = new SplittableRandom(seed);
    SplittableRandom randomSizes = randomSizes();
    double calm = perSecond / (1 - burst.share() + burst.share() * burst.factor());
    List<Arrival> arrivals = new ArrayList<>();
    double seconds = 0;
    for (int number = 0; number < count; number++) {
      double work = -Math.log(1 - random.nextDouble());
      while (work > 0) {
        boolean inBurst = seconds % burst.periodSeconds() < burst.share() * burst.periodSeconds();
        double rate = inBurst ? calm * burst.factor() : calm;
        double phaseEnd =
            Math.floor(seconds / burst.periodSeconds()) * burst.periodSeconds()
                + (inBurst ? burst.share() : 1) * burst.periodSeconds();
        double untilPhaseEnds = Math.max(phaseEnd - seconds, 1e-9);
        double spent = Math.min(work / rate, untilPhaseEnds);
        seconds += spent;
        work = spent < untilPhaseEnds ? 0 : work - spent * rate;
      }
      arrivals.add(
          new Arrival(number, Math.round(seconds * 1e9), steps(random), one(sizes, randomSizes)));
    }
    return arrivals;
  }

  /**
   * How a rate changes.
   *
   * @param periodSeconds from one burst to the next
   * @param share of the period that is a burst, 0 to 1
   * @param factor of the rate in it over that outside
   */
  public record Burst(double periodSeconds, double share, double factor) {}

  /** Mean number of steps of a request. */
  public double meanSteps() {
    return stepCounts.stream().mapToInt(Integer::intValue).average().orElseThrow();
  }

  private SplittableRandom randomSizes() {
    return new SplittableRandom(~seed);
  }

  private int steps(SplittableRandom random) {
    return one(stepCounts, random);
  }

  private static int one(List<Integer> of, SplittableRandom random) {
    return of.get(random.nextInt(of.size()));
  }
}
