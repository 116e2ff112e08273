/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;

/**
 * Measures peers in turn: each round measures each once, and every other round in reverse order, so
 * that what else the machine does falls on all alike.
 *
 * @param warmUp rounds that do not count
 * @param measured rounds that do
 */
public record Rounds(int warmUp, int measured) {
  public Rounds {
    if (warmUp < 0 || measured < 1) {
      throw new BenchmarkException(
          "Rounds: %d to warm up and %d measured; at least 0 and 1.".formatted(warmUp, measured));
    }
  }

  /**
   * Measures.
   *
   * @param scenario what is done
   * @param unit of the numbers
   * @param subjects by name; each call is one round and gives its number
   * @return by name, in the same order
   */
  public Map<String, Measurement> alternate(
      String scenario, String unit, Map<String, Callable<Double>> subjects) throws Exception {
    List<String> order = new ArrayList<>(subjects.keySet());
    Map<String, List<Double>> values = new LinkedHashMap<>();
    order.forEach(name -> values.put(name, new ArrayList<>()));
    for (int round = 0; round < warmUp + measured; round++) {
      for (String name : order) {
        double value = subjects.get(name).call();
        if (round >= warmUp) {
          values.get(name).add(value);
        }
      }
      Collections.reverse(order);
    }
    Map<String, Measurement> measurements = new LinkedHashMap<>();
    values.forEach(
        (name, each) -> measurements.put(name, new Measurement(scenario, name, unit, each)));
    return measurements;
  }

  /** Something that takes time. */
  @FunctionalInterface
  public interface Work {
    void run() throws Exception;
  }

  /** How long something takes, in seconds. */
  public static double seconds(Work work) throws Exception {
    long begin = System.nanoTime();
    work.run();
    return (System.nanoTime() - begin) / 1e9;
  }
}
