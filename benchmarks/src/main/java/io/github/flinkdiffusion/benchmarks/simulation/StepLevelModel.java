/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.simulation;

import io.github.flinkdiffusion.ops.batching.BatchPlanner;
import io.github.flinkdiffusion.ops.batching.BatchPolicy;
import io.github.flinkdiffusion.ops.batching.CallReport.Stage;
import io.github.flinkdiffusion.ops.batching.Ranking;
import io.github.flinkdiffusion.ops.batching.Submission;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.IntFunction;

/**
 * The step-level batcher as a discrete-event model, for requests of one row and no priority: the
 * batcher's own {@link BatchPlanner} decides, without pipelines, tickets and threads. Fast enough
 * for a thousand devices.
 */
public final class StepLevelModel {
  private final BatchPolicy policy;
  private final IntFunction<CallCosts> costs;

  /** By size, of those that came. */
  private final Map<Integer, Map<Stage, long[]>> nanos = new HashMap<>();

  /**
   * What a device did.
   *
   * @param served in the order of their images
   * @param busyNanos time in calls
   * @param mostInFlight requests that were there at once, waiting ones included
   */
  public record Run(List<Served> served, long busyNanos, int mostInFlight) {}

  private static final class Flight implements BatchPlanner.Member {
    static final Comparator<Flight> ORDER =
        Comparator.<Flight>comparingLong(flight -> flight.rank)
            .thenComparingInt(flight -> flight.arrival.number());

    private final Arrival arrival;
    private final long rank;
    private int stepsLeft;

    private Flight(Arrival arrival, long rank) {
      this.arrival = arrival;
      this.rank = rank;
      stepsLeft = arrival.steps();
    }

    @Override
    public Object batchKey() {
      return arrival.size();
    }

    @Override
    public int rows() {
      return 1;
    }

    @Override
    public int stepsLeft() {
      return stepsLeft;
    }
  }

  /**
   * @param rowLimit most rows of a network call
   */
  public StepLevelModel(CallCosts costs, int rowLimit) {
    this(size -> costs, rowLimit);
  }

  /**
   * @param costs of calls for images of a size
   * @param rowLimit most rows of a network call
   */
  public StepLevelModel(IntFunction<CallCosts> costs, int rowLimit) {
    this.policy = BatchPolicy.ofRows(rowLimit);
    this.costs = costs;
  }

  private Map<Stage, long[]> nanos(int size) {
    return nanos.computeIfAbsent(
        size,
        each ->
            Map.of(
                Stage.ENCODE, costs.apply(each).encode().table(policy.encodeLimit()),
                Stage.STEP, costs.apply(each).step().table(policy.rowLimit()),
                Stage.DECODE, costs.apply(each).decode().table(policy.decodeLimit())));
  }

  /**
   * Serves a load.
   *
   * @param arrivals ascending in time
   */
  public Run serve(List<Arrival> arrivals) {
    BatchPlanner<Flight> planner = new BatchPlanner<>(policy, Flight.ORDER);
    Ranking ranking = new Ranking(policy);
    List<Served> served = new ArrayList<>(arrivals.size());
    long now = 0;
    long busy = 0;
    int next = 0;
    int mostInFlight = 0;
    while (served.size() < arrivals.size()) {
      while (next < arrivals.size() && arrivals.get(next).atNanos() <= now) {
        Arrival arrival = arrivals.get(next++);
        double own = arrival.steps() * planner.stepNanos();
        planner.add(new Flight(arrival, ranking.rank(Submission.DEFAULT, now, own)));
      }
      mostInFlight = Math.max(mostInFlight, planner.size());
      Optional<BatchPlanner.Call<Flight>> call = planner.next();
      if (call.isEmpty()) {
        now = arrivals.get(next).atNanos();
        continue;
      }
      int size = call.get().batch().get(0).arrival.size();
      long took = nanos(size).get(call.get().stage())[call.get().rows()];
      now += took;
      busy += took;
      planner.took(call.get(), took);
      for (Flight flight : call.get().batch()) {
        switch (call.get().stage()) {
          case STEP -> flight.stepsLeft--;
          case DECODE -> served.add(new Served(flight.arrival, now));
          default -> {} // it has only begun
        }
        planner.moved(flight, call.get().stage(), flight.stepsLeft > 0);
      }
    }
    return new Run(served, busy, mostInFlight);
  }
}
