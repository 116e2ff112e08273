/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MetricOptions;
import org.apache.flink.metrics.Histogram;
import org.apache.flink.metrics.HistogramStatistics;
import org.apache.flink.metrics.Metric;
import org.apache.flink.metrics.MetricConfig;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.metrics.reporter.MetricReporter;
import org.apache.flink.metrics.reporter.MetricReporterFactory;

/**
 * Learns how large the batches of a job in this process were, from the operator's metric {@code
 * batchRows}, as a Flink metric reporter.
 *
 * <p>Flink makes the reporter by itself; the two find each other by a name in the configuration.
 */
final class BatchMetrics implements AutoCloseable {
  private static final String METRIC = "batchRows";
  private static final String REPORTER = "demo";
  private static final String RUN = "run";
  private static final Map<String, BatchMetrics> RUNS = new ConcurrentHashMap<>();

  private final String run = UUID.randomUUID().toString();
  private final List<Histogram> histograms = new CopyOnWriteArrayList<>();

  private BatchMetrics() {}

  /** Begins to collect for the cluster that gets {@link #reportedBy}; ends with {@link #close}. */
  static BatchMetrics collect() {
    BatchMetrics metrics = new BatchMetrics();
    RUNS.put(metrics.run, metrics);
    return metrics;
  }

  /** Makes a cluster with this configuration report here. */
  void reportedBy(Configuration configuration) {
    configuration.set(MetricOptions.REPORTERS_LIST, REPORTER);
    String prefix = "metrics.reporter." + REPORTER + ".";
    configuration.set(
        ConfigOptions.key(prefix + "factory.class").stringType().noDefaultValue(),
        Factory.class.getName());
    configuration.set(ConfigOptions.key(prefix + RUN).stringType().noDefaultValue(), run);
  }

  /**
   * What is known by now. A subtask remembers its last thousand calls, so of a long run it is the
   * end; a call that several subtasks share counts for each.
   */
  Summary.BatchSizes sizes() {
    long calls = 0;
    double rows = 0;
    long largest = 0;
    for (Histogram histogram : histograms) {
      HistogramStatistics statistics = histogram.getStatistics();
      calls += histogram.getCount();
      rows += histogram.getCount() * statistics.getMean();
      largest = Math.max(largest, statistics.getMax());
    }
    return new Summary.BatchSizes(calls, calls == 0 ? 0 : rows / calls, largest);
  }

  @Override
  public void close() {
    RUNS.remove(run);
  }

  /** Found by Flink through its name in the configuration. */
  public static final class Factory implements MetricReporterFactory {
    @Override
    public MetricReporter createMetricReporter(Properties properties) {
      return new Reporter();
    }
  }

  private static final class Reporter implements MetricReporter {
    private BatchMetrics target;

    @Override
    public void open(MetricConfig config) {
      target = RUNS.get(config.getString(RUN, ""));
    }

    @Override
    public void notifyOfAddedMetric(Metric metric, String name, MetricGroup group) {
      if (target != null && name.equals(METRIC) && metric instanceof Histogram histogram) {
        target.histograms.add(histogram);
      }
    }

    @Override
    public void notifyOfRemovedMetric(Metric metric, String name, MetricGroup group) {
      // A job that has ended is what is asked about.
    }

    @Override
    public void close() {}
  }
}
