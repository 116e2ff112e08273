/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import java.io.IOException;
import java.nio.file.Path;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.internal.chartpart.Chart;
import org.knowm.xchart.style.Styler;

/** Plots as PNG files. */
final class Charts {
  private static final int WIDTH = 900;
  private static final int HEIGHT = 480;

  private Charts() {}

  static void write(Plot plot, Path png) {
    Chart<?, ?> chart = plot.kind() == Plot.Kind.BARS ? bars(plot) : lines(plot);
    chart.getStyler().setLegendPosition(Styler.LegendPosition.OutsideS);
    chart.getStyler().setLegendLayout(Styler.LegendLayout.Horizontal);
    try {
      BitmapEncoder.saveBitmap(chart, png.toString(), BitmapEncoder.BitmapFormat.PNG);
    } catch (IOException e) {
      throw new BenchmarkException("Plot " + png + " could not be written: " + e, e);
    }
  }

  private static CategoryChart bars(Plot plot) {
    CategoryChart chart =
        new CategoryChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .title(plot.title())
            .xAxisTitle(plot.xLabel())
            .yAxisTitle(plot.yLabel())
            .build();
    chart.getStyler().setYAxisLogarithmic(plot.logarithmic().contains(Plot.Axis.Y));
    plot.series().forEach(each -> chart.addSeries(each.name(), plot.categories(), each.y()));
    return chart;
  }

  private static XYChart lines(Plot plot) {
    XYChart chart =
        new XYChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .title(plot.title())
            .xAxisTitle(plot.xLabel())
            .yAxisTitle(plot.yLabel())
            .build();
    chart.getStyler().setXAxisLogarithmic(plot.logarithmic().contains(Plot.Axis.X));
    chart.getStyler().setYAxisLogarithmic(plot.logarithmic().contains(Plot.Axis.Y));
    plot.series().forEach(each -> chart.addSeries(each.name(), each.x(), each.y()));
    return chart;
  }
}
