/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.util.List;
import java.util.Properties;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.metrics.MetricConfig;
import org.apache.flink.traces.Span;
import org.apache.flink.traces.reporter.TraceReporter;
import org.apache.flink.traces.reporter.TraceReporterFactory;

/** A trace reporter that keeps the spans of requests, as Flink finds one by its name. */
public final class KeptSpans implements TraceReporterFactory {
  private static final Queue<Span> SPANS = new ConcurrentLinkedQueue<>();

  static Configuration addTo(Configuration config) {
    config.setString("traces.reporters", "kept");
    config.setString("traces.reporter.kept.factory.class", KeptSpans.class.getName());
    return config;
  }

  static void clear() {
    SPANS.clear();
  }

  static List<Span> all() {
    return List.copyOf(SPANS);
  }

  @Override
  public TraceReporter createTraceReporter(Properties properties) {
    return new TraceReporter() {
      @Override
      public void open(MetricConfig config) {}

      @Override
      public void close() {}

      @Override
      public void notifyOfAddedSpan(Span span) {
        if (span.getName().equals(RequestSpan.NAME)) {
          SPANS.add(span);
        }
      }
    };
  }
}
