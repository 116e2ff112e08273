/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.simulation;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.function.Consumer;

/** One device and who decides what it does next. */
public interface Server extends AutoCloseable {

  /**
   * Hands over a request.
   *
   * @param done told when its picture is there
   */
  void submit(Arrival arrival, Consumer<Arrival> done);

  /**
   * Makes one device call, or a batch of them that nothing interrupts.
   *
   * @return false when there is nothing to do yet
   */
  boolean runOnce();

  /** When there will be something to do though no request comes; empty for never. */
  OptionalLong wakesAt();

  @Override
  void close();

  /** Gives a server a load in a clock's time and returns when all is served. */
  static List<Served> serve(List<Arrival> arrivals, Server server, Clock clock) {
    List<Served> served = new ArrayList<>();
    int next = 0;
    while (served.size() < arrivals.size()) {
      while (next < arrivals.size() && arrivals.get(next).atNanos() <= clock.nanos()) {
        server.submit(
            arrivals.get(next++), arrival -> served.add(new Served(arrival, clock.nanos())));
      }
      if (!server.runOnce()) {
        long arrival = next < arrivals.size() ? arrivals.get(next).atNanos() : Long.MAX_VALUE;
        long until = Math.min(arrival, server.wakesAt().orElse(Long.MAX_VALUE));
        if (until == Long.MAX_VALUE) {
          throw new IllegalStateException(
              "%d of %d requests were served and nothing is left to do."
                  .formatted(served.size(), arrivals.size()));
        }
        clock.skipTo(until);
      }
    }
    return served;
  }
}
