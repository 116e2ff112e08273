/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.ops.batching.CallReport;
import java.time.Duration;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Supplier;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.Histogram;
import org.apache.flink.metrics.MeterView;
import org.apache.flink.metrics.MetricGroup;

/**
 * What an operator tells about itself, in Flink's group of the operator; {@link #REFERENCE} says
 * what each metric is. Written by the task's and the device's thread.
 */
final class DiffusionMetrics {
  private static final int WINDOW = 1024;

  /** All metrics, in the order in which they are documented. */
  static final List<Described> REFERENCE =
      List.of(
          new Described("inFlight", "gauge", "requests taken in and not put out"),
          new Described("pictures", "counter", "pictures put out"),
          new Described(
              "tiles",
              "counter",
              "tiles of image tasks finished, all samples of each; an image that is not cut is one"),
          new Described(
              "reason.R.failures",
              "counter",
              "failures put out, for each reason R of `FailureReason`, e.g. `reason.TIMEOUT.failures`"),
          new Described(
              "retries",
              "counter",
              "requests begun anew after an attempt that failed for them alone"),
          new Described(
              "unknownCancellations",
              "counter",
              "cancellations of requests that were not in flight in this subtask; every subtask gets"
                  + " every cancellation, so all but one count each here"),
          new Described("steps", "counter", "network steps made for requests of this subtask"),
          new Described("stepsPerSecond", "meter", "of `steps`, over the last minute"),
          new Described(
              "batchRows",
              "histogram",
              "rows of the network calls that this subtask took part in, others' rows included"),
          new Described(
              "batchRowLimit", "gauge", "most rows of a network call, as set or as measured"),
          new Described(
              "outOfMemoryCalls",
              "counter",
              "device calls that did not fit into memory: the limit was halved, or the request failed"),
          new Described("queueTimeMillis", "histogram", "from taken in to started on the device"),
          new Described(
              "encodeTimeMicros", "histogram", "device time of one call that starts requests"),
          new Described("stepTimeMicros", "histogram", "device time of one network call"),
          new Described(
              "decodeTimeMicros", "histogram", "device time of one call that makes pictures"),
          new Described(
              "previewTimeMicros", "histogram", "device time of one call that makes previews"),
          new Described(
              "deviceTimeMicros",
              "counter",
              "device time of all calls that this subtask took part in; subtasks that share a device"
                  + " share calls, so their sum may exceed the clock"),
          new Described(
              "modelLoadTimeMillis",
              "gauge",
              "how long the subtask waited for the model to be loaded and measured"),
          new Described(
              "restoredTrajectories",
              "counter",
              "requests gone on with at their step after a restart"),
          new Described(
              "restartedTrajectories",
              "counter",
              "requests begun anew after a restart because the model had changed"),
          new Described(
              "redoneSteps",
              "counter",
              "network steps that had been made before a failure and were made again; those of a"
                  + " process that was killed are not known"));

  /** One row of {@link #REFERENCE}. */
  record Described(String name, String kind, String description) {}

  final Counter pictures;
  final Counter tiles;
  final Counter steps;
  final Counter retries;
  final Counter unknownCancellations;
  final Counter outOfMemoryCalls;
  final Counter restoredTrajectories;
  final Counter restartedTrajectories;
  final Counter redoneSteps;
  private final Counter deviceTimeMicros;
  private final Histogram batchRows;
  private final Histogram queueTimeMillis;
  private final Map<CallReport.Stage, Histogram> callTimeMicros =
      new EnumMap<>(CallReport.Stage.class);
  private final Map<FailureReason, Counter> failures = new EnumMap<>(FailureReason.class);

  DiffusionMetrics(
      MetricGroup group, Supplier<Integer> inFlight, Duration modelLoadTime, int batchRowLimit) {
    group.gauge("inFlight", inFlight::get);
    group.gauge("modelLoadTimeMillis", modelLoadTime::toMillis);
    group.gauge("batchRowLimit", () -> batchRowLimit);
    pictures = group.counter("pictures", new SharedCounter());
    tiles = group.counter("tiles", new SharedCounter());
    steps = group.counter("steps", new SharedCounter());
    group.meter("stepsPerSecond", new MeterView(steps));
    retries = group.counter("retries", new SharedCounter());
    unknownCancellations = group.counter("unknownCancellations", new SharedCounter());
    outOfMemoryCalls = group.counter("outOfMemoryCalls", new SharedCounter());
    restoredTrajectories = group.counter("restoredTrajectories", new SharedCounter());
    restartedTrajectories = group.counter("restartedTrajectories", new SharedCounter());
    redoneSteps = group.counter("redoneSteps", new SharedCounter());
    deviceTimeMicros = group.counter("deviceTimeMicros", new SharedCounter());
    batchRows = group.histogram("batchRows", new RecentValues(WINDOW));
    queueTimeMillis = group.histogram("queueTimeMillis", new RecentValues(WINDOW));
    for (CallReport.Stage stage : CallReport.Stage.values()) {
      String name = stage.name().toLowerCase(Locale.ROOT) + "TimeMicros";
      callTimeMicros.put(stage, group.histogram(name, new RecentValues(WINDOW)));
    }
    for (FailureReason reason : FailureReason.values()) {
      failures.put(
          reason, group.addGroup("reason", reason.name()).counter("failures", new SharedCounter()));
    }
  }

  void called(CallReport report) {
    long micros = report.elapsed().toNanos() / 1000;
    deviceTimeMicros.inc(micros);
    if (report.outOfMemory()) {
      outOfMemoryCalls.inc();
      return;
    }
    callTimeMicros.get(report.stage()).update(micros);
    if (report.stage() == CallReport.Stage.STEP) {
      batchRows.update(report.rows());
    }
  }

  void queued(Duration time) {
    queueTimeMillis.update(time.toMillis());
  }

  void failed(FailureReason reason) {
    failures.get(reason).inc();
  }

  /** A counter that several threads may write. */
  private static final class SharedCounter implements Counter {
    private final LongAdder count = new LongAdder();

    @Override
    public void inc() {
      count.increment();
    }

    @Override
    public void inc(long n) {
      count.add(n);
    }

    @Override
    public void dec() {
      count.decrement();
    }

    @Override
    public void dec(long n) {
      count.add(-n);
    }

    @Override
    public long getCount() {
      return count.sum();
    }
  }
}
