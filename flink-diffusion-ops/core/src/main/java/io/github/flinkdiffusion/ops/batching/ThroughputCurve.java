/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.engine.DeviceMemoryException;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.NotFiniteException;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * How many rows a second a device makes, by rows of a network call.
 *
 * <p>A larger call makes more rows a second until the device is full; from there on it only takes
 * longer, and newcomers wait for the next boundary. So the best size is the smallest that is nearly
 * as fast as any.
 *
 * @param points with rows ascending; at least one
 */
record ThroughputCurve(List<Point> points) {
  private static final Logger LOG = LoggerFactory.getLogger(ThroughputCurve.class);

  static final int MOST_ROWS = 64;

  /** What measuring may take in all, but for one call of the smallest size. */
  static final Duration BUDGET = Duration.ofSeconds(5);

  /** A call that takes so long is large enough, whatever more rows would win. */
  static final Duration LONGEST_CALL = Duration.ofSeconds(1);

  /** A size that is this near to the fastest is preferred when it is smaller. */
  private static final double NEARLY = 0.9;

  private static final int CALLS_PER_POINT = 3;

  /**
   * Most calls of a size that seems slower than a smaller one. Hardly a device is slower with more
   * rows; mostly other processes have disturbed all calls so far.
   */
  private static final int CALLS_OF_SLOW_POINT = 12;

  /**
   * @param rows of the call
   * @param elapsed time of the fastest of some calls; the others were disturbed
   */
  record Point(int rows, Duration elapsed) {
    double rowsPerSecond() {
      return rows * 1e9 / Math.max(1, elapsed.toNanos());
    }
  }

  ThroughputCurve {
    points = List.copyOf(points);
  }

  /** The smallest size that is nearly as fast as the fastest. */
  int bestRows() {
    double fastest = fastest(points);
    return points.stream()
        .filter(point -> point.rowsPerSecond() >= NEARLY * fastest)
        .mapToInt(Point::rows)
        .min()
        .orElseThrow();
  }

  /**
   * Doubles the size as long as it fits into memory and pays.
   *
   * @param example a request like those that will come
   * @return empty when the model cannot do the example, or not even one of it
   */
  static Optional<ThroughputCurve> measure(
      DiffusionPipeline pipeline, GenerationSpec example, Ticker ticker) {
    List<Point> points = new ArrayList<>();
    long begin = ticker.nanos();
    try {
      GenerationRequest request = pipeline.model().prepare(example);
      int rowsEach = pipeline.start(List.of(request)).get(0).rows();
      for (int requests = 1; requests * rowsEach <= MOST_ROWS || requests == 1; requests *= 2) {
        points.add(
            point(
                pipeline,
                Collections.nCopies(requests, request),
                fastest(points),
                begin + BUDGET.toNanos(),
                ticker));
        if (!isWorthMore(points, ticker.nanos() - begin)) {
          break;
        }
      }
    } catch (DeviceMemoryException e) {
      LOG.debug("A call of twice as many rows does not fit.", e);
    } catch (InvalidRequestException | NotFiniteException e) {
      LOG.info("Cannot measure the device: {}", e.getMessage());
    }
    if (points.isEmpty()) {
      return Optional.empty();
    }
    ThroughputCurve curve = new ThroughputCurve(points);
    LOG.info("Network calls have up to {} rows, as measured: {}", curve.bestRows(), points);
    return Optional.of(curve);
  }

  private static boolean isWorthMore(List<Point> points, long spentNanos) {
    Point last = points.get(points.size() - 1);
    double fastest = fastest(points);
    long nextNanos = 2 * CALLS_PER_POINT * last.elapsed().toNanos();
    return last.rowsPerSecond() >= NEARLY * fastest
        && last.elapsed().compareTo(LONGEST_CALL) < 0
        && spentNanos + nextNanos <= BUDGET.toNanos();
  }

  private static double fastest(List<Point> points) {
    return points.stream().mapToDouble(Point::rowsPerSecond).max().orElse(0);
  }

  /**
   * @param fastest rows a second of the sizes before
   * @param endNanos when no further call begins but the first ones
   */
  private static Point point(
      DiffusionPipeline pipeline,
      List<GenerationRequest> requests,
      double fastest,
      long endNanos,
      Ticker ticker) {
    List<Trajectory> trajectories = pipeline.start(requests);
    int rows = trajectories.stream().mapToInt(Trajectory::rows).sum();
    Point point = null;
    for (int call = 0; call < CALLS_OF_SLOW_POINT; call++) {
      if (trajectories.get(0).done()) {
        trajectories = pipeline.start(requests);
      }
      long begin = ticker.nanos();
      pipeline.step(trajectories);
      Duration elapsed = Duration.ofNanos(ticker.nanos() - begin);
      if (point == null || elapsed.compareTo(point.elapsed()) < 0) {
        point = new Point(rows, elapsed);
      }
      boolean slow = point.rowsPerSecond() < NEARLY * fastest;
      boolean inTime = ticker.nanos() + point.elapsed().toNanos() <= endNanos;
      if (point.elapsed().compareTo(LONGEST_CALL) >= 0
          || call + 1 >= CALLS_PER_POINT && !(slow && inTime)) {
        break;
      }
    }
    return point;
  }
}
