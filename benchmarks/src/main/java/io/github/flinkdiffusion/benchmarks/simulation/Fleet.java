/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.simulation;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.ToIntFunction;
import java.util.stream.IntStream;

/**
 * Many equal devices that know nothing of each other: each serves what is routed to it, as the
 * operator's subtasks do.
 *
 * @param device how each works
 * @param devices how many
 */
public record Fleet(StepLevelModel device, int devices) {

  /**
   * What all devices did.
   *
   * @param served by all
   * @param busiest part of the time, from the first arrival to the last picture of all, for which
   *     the busiest device was busy
   * @param busy the same on average
   * @param mostInFlight requests that any device had at once, waiting ones included
   */
  public record Run(List<Served> served, double busiest, double busy, int mostInFlight) {}

  /**
   * Serves a load.
   *
   * @param arrivals ascending in time
   * @param routing which device gets a request, 0 to {@code devices - 1}; asked once for each
   */
  public Run serve(List<Arrival> arrivals, ToIntFunction<Arrival> routing) {
    List<List<Arrival>> shares =
        IntStream.range(0, devices).<List<Arrival>>mapToObj(i -> new ArrayList<>()).toList();
    arrivals.forEach(each -> shares.get(routing.applyAsInt(each)).add(each));
    List<StepLevelModel.Run> runs = shares.stream().map(device::serve).toList();
    List<Served> served = runs.stream().flatMap(run -> run.served().stream()).toList();
    double time = served.stream().mapToLong(Served::atNanos).max().orElseThrow();
    return new Run(
        served,
        runs.stream().mapToLong(StepLevelModel.Run::busyNanos).max().orElseThrow() / time,
        runs.stream().mapToLong(StepLevelModel.Run::busyNanos).average().orElseThrow() / time,
        runs.stream().mapToInt(StepLevelModel.Run::mostInFlight).max().orElseThrow());
  }

  /** Each device in its turn: {@code rebalance()} between the source and the operator. */
  public ToIntFunction<Arrival> inTurn() {
    return arrival -> arrival.number() % devices;
  }

  /**
   * The operator chained to the source: a device makes what comes from its partitions of the topic.
   *
   * @param partitions of the topic, dealt out in turn
   * @param skew Zipf's exponent of the partitions' shares: 0 for equal ones
   */
  public ToIntFunction<Arrival> byPartition(int partitions, double skew, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    double[] upTo = new double[partitions];
    for (int i = 0; i < partitions; i++) {
      double share = Math.pow(i + 1, -skew);
      upTo[i] = (i == 0 ? 0 : upTo[i - 1]) + share;
    }
    return arrival -> {
      double at = random.nextDouble() * upTo[partitions - 1];
      int found = Arrays.binarySearch(upTo, at);
      return (found < 0 ? -found - 1 : found) % devices;
    };
  }
}
