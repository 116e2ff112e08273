package io.github.flinkdiffusion.benchmarks.simulation;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.TreeMap;

/**
 * The step-level batcher as a discrete-event model: the same decisions at the same boundaries, for
 * requests of one shape, one row and no priority, without pipelines, tickets and threads. Fast
 * enough for a thousand devices; a test holds it against the batcher itself.
 */
public final class StepLevelModel {
  private final int rowLimit;
  private final int decodeLimit;
  private final long[] encodeNanos;
  private final long[] stepNanos;
  private final long[] decodeNanos;

  /**
   * What a device did.
   *
   * @param served in the order of their pictures
   * @param busyNanos time in calls
   * @param mostInFlight requests that were there at once, waiting ones included
   */
  public record Run(List<Served> served, long busyNanos, int mostInFlight) {}

  private static final class Flight {
    private final Arrival arrival;
    private int stepsLeft;

    private Flight(Arrival arrival) {
      this.arrival = arrival;
      stepsLeft = arrival.steps();
    }
  }

  /**
   * @param rowLimit most rows of a network call
   */
  public StepLevelModel(CallCosts costs, int rowLimit) {
    this.rowLimit = rowLimit;
    decodeLimit = Math.max(1, rowLimit / 2);
    encodeNanos = costs.encode().table(rowLimit);
    stepNanos = costs.step().table(rowLimit);
    decodeNanos = costs.decode().table(decodeLimit);
  }

  /**
   * Serves a load.
   *
   * @param arrivals ascending in time
   */
  public Run serve(List<Arrival> arrivals) {
    Deque<Flight> waiting = new ArrayDeque<>();
    // By arrival, which is the order of service.
    TreeMap<Integer, Flight> running = new TreeMap<>();
    TreeMap<Integer, Flight> denoised = new TreeMap<>();
    List<Served> served = new ArrayList<>(arrivals.size());
    boolean lastWasStep = false;
    long now = 0;
    long busy = 0;
    int next = 0;
    int mostInFlight = 0;
    while (served.size() < arrivals.size()) {
      while (next < arrivals.size() && arrivals.get(next).atNanos() <= now) {
        waiting.add(new Flight(arrivals.get(next++)));
      }
      mostInFlight = Math.max(mostInFlight, waiting.size() + running.size() + denoised.size());
      int admitted = Math.min(waiting.size(), 2 * rowLimit - running.size());
      long took;
      if (!running.isEmpty() && !lastWasStep) {
        took = step(running, denoised);
        lastWasStep = true;
      } else if (!denoised.isEmpty()) {
        int count = Math.min(denoised.size(), decodeLimit);
        took = decodeNanos[count];
        for (int i = 0; i < count; i++) {
          served.add(new Served(denoised.pollFirstEntry().getValue().arrival, now + took));
        }
        lastWasStep = false;
      } else if (admitted > 0) {
        int count = Math.min(admitted, rowLimit);
        took = encodeNanos[count];
        for (int i = 0; i < count; i++) {
          Flight flight = waiting.poll();
          running.put(flight.arrival.number(), flight);
        }
        lastWasStep = false;
      } else if (!running.isEmpty()) {
        took = step(running, denoised);
        lastWasStep = true;
      } else {
        now = arrivals.get(next).atNanos();
        continue;
      }
      now += took;
      busy += took;
    }
    return new Run(served, busy, mostInFlight);
  }

  private long step(TreeMap<Integer, Flight> running, TreeMap<Integer, Flight> denoised) {
    List<Flight> batch = running.values().stream().limit(rowLimit).toList();
    for (Flight flight : batch) {
      flight.stepsLeft--;
      if (flight.stepsLeft == 0) {
        running.remove(flight.arrival.number());
        denoised.put(flight.arrival.number(), flight);
      }
    }
    return stepNanos[batch.size()];
  }
}
