/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import java.util.List;

/**
 * A picture of some numbers.
 *
 * @param title of the picture, and its alternative text
 * @param kind how it is drawn
 * @param xLabel below the horizontal axis
 * @param yLabel beside the vertical axis
 * @param logarithmic the axes that are; bars have the vertical one only
 * @param categories names of the bars' groups; empty for lines
 * @param series at least one
 */
public record Plot(
    String title,
    Kind kind,
    String xLabel,
    String yLabel,
    List<Axis> logarithmic,
    List<String> categories,
    List<Series> series) {
  /** How the numbers are drawn. */
  public enum Kind {
    BARS,
    LINES
  }

  /** Horizontal and vertical. */
  public enum Axis {
    X,
    Y
  }

  /**
   * One colour.
   *
   * @param name in the legend
   * @param x horizontal positions; empty for bars
   * @param y values, as many as x or as categories
   */
  public record Series(String name, List<Double> x, List<Double> y) {
    public Series {
      x = List.copyOf(x);
      y = List.copyOf(y);
    }
  }

  public Plot {
    logarithmic = List.copyOf(logarithmic);
    categories = List.copyOf(categories);
    series = List.copyOf(series);
    for (Series each : series) {
      int expected = kind == Kind.BARS ? categories.size() : each.x().size();
      if (each.y().size() != expected) {
        throw new BenchmarkException(
            "Plot '%s': series '%s' has %d values for %d positions."
                .formatted(title, each.name(), each.y().size(), expected));
      }
    }
  }

  /** Groups of bars, one bar a series in each. */
  public static Plot bars(
      String title, String xLabel, String yLabel, List<String> categories, List<Series> series) {
    return new Plot(title, Kind.BARS, xLabel, yLabel, List.of(), categories, series);
  }

  /**
   * One line a series.
   *
   * @param logarithmic axes that are; their values must be above 0
   */
  public static Plot lines(
      String title, String xLabel, String yLabel, List<Axis> logarithmic, List<Series> series) {
    return new Plot(title, Kind.LINES, xLabel, yLabel, logarithmic, List.of(), series);
  }
}
