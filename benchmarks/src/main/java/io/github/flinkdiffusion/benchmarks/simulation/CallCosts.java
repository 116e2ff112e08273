/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.simulation;

import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * How long a device's calls take, by the number of rows.
 *
 * @param encode of texts, and noise
 * @param step a network call
 * @param decode latents to pictures
 */
public record CallCosts(Curve encode, Curve step, Curve decode) {
  private static final int CALLS = 7;

  /**
   * Nanoseconds over rows: straight between the points, in proportion to the rows beyond the last.
   *
   * @param points at least one, with rows from 1
   */
  public record Curve(NavigableMap<Integer, Double> points) {
    public Curve {
      points = Collections.unmodifiableNavigableMap(new TreeMap<>(points));
      if (points.isEmpty() || points.firstKey() < 1) {
        throw new IllegalArgumentException("A curve of costs needs points from one row on.");
      }
    }

    /** A cost of a fixed part and one a row. */
    public static Curve line(double fixedNanos, double nanosPerRow) {
      return new Curve(
          new TreeMap<>(Map.of(1, fixedNanos + nanosPerRow, 64, fixedNanos + 64 * nanosPerRow)));
    }

    /** Nanoseconds of a call. */
    public long nanos(int rows) {
      Map.Entry<Integer, Double> below = points.floorEntry(rows);
      Map.Entry<Integer, Double> above = points.ceilingEntry(rows);
      if (below == null) {
        return Math.round(above.getValue());
      }
      if (above == null) {
        return Math.round(below.getValue() * rows / below.getKey());
      }
      if (above.getKey().equals(below.getKey())) {
        return Math.round(below.getValue());
      }
      double part = (rows - below.getKey()) / (double) (above.getKey() - below.getKey());
      return Math.round(below.getValue() + part * (above.getValue() - below.getValue()));
    }

    /** Least nanoseconds of one row in a call of at most so many. */
    double leastNanosEach(int mostRows) {
      return IntStream.rangeClosed(1, mostRows)
          .mapToDouble(rows -> nanos(rows) / (double) rows)
          .min()
          .orElseThrow();
    }

    /** All costs up to a number of rows, for who asks often; the first is that of no row. */
    public long[] table(int mostRows) {
      long[] table = new long[mostRows + 1];
      for (int rows = 1; rows <= mostRows; rows++) {
        table[rows] = nanos(rows);
      }
      return table;
    }
  }

  /**
   * Least time that a request of one row takes of a device, whatever is decided: its share of calls
   * that are full.
   *
   * @param rowLimit most rows of a network call; images decode in half of it
   */
  public double leastNanos(int steps, int rowLimit) {
    return encode.leastNanosEach(rowLimit)
        + steps * step.leastNanosEach(rowLimit)
        + decode.leastNanosEach(Math.max(1, rowLimit / 2));
  }

  /**
   * Measures a pipeline, on the thread that it was opened on.
   *
   * @param request to measure with, of one row
   * @param sizes of the batches
   */
  public static CallCosts measure(
      DiffusionPipeline pipeline, GenerationRequest request, List<Integer> sizes) {
    TreeMap<Integer, Double> encode = new TreeMap<>();
    TreeMap<Integer, Double> step = new TreeMap<>();
    TreeMap<Integer, Double> decode = new TreeMap<>();
    for (int size : sizes) {
      List<GenerationRequest> requests = Collections.nCopies(size, request);
      double[] encodes = new double[CALLS];
      double[] steps = new double[CALLS];
      double[] decodes = new double[CALLS];
      for (int call = 0; call < CALLS; call++) {
        long begin = System.nanoTime();
        List<Trajectory> trajectories = pipeline.start(requests);
        encodes[call] = System.nanoTime() - begin;
        begin = System.nanoTime();
        int made = 0;
        while (!trajectories.get(0).done()) {
          pipeline.step(trajectories);
          made++;
        }
        steps[call] = (System.nanoTime() - begin) / (double) made;
        begin = System.nanoTime();
        pipeline.finish(trajectories);
        decodes[call] = System.nanoTime() - begin;
      }
      encode.put(size, median(encodes));
      step.put(size, median(steps));
      decode.put(size, median(decodes));
    }
    return new CallCosts(new Curve(encode), new Curve(step), new Curve(decode));
  }

  private static double median(double[] values) {
    Arrays.sort(values);
    return values[values.length / 2];
  }
}
