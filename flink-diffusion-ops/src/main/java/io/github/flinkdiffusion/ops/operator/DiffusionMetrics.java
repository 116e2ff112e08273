package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.ops.batching.CallReport;
import java.time.Duration;
import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Supplier;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;

/**
 * What an operator tells about itself, in Flink's group of the operator. Written by the task's and
 * the device's thread.
 *
 * <ul>
 *   <li>{@code inFlight}: requests taken in and not put out; {@code pictures}: put out
 *   <li>{@code batchRows}, {@code stepTimeMicros}: rows and time of the network calls that this
 *       subtask took part in, others' rows included; {@code steps}: this subtask's own network
 *       steps
 *   <li>{@code queueTimeMillis}: from taken in to started
 *   <li>{@code outOfMemoryCalls}: calls that did not fit and were halved, or whose request failed
 *   <li>{@code reason.X.failures}: by {@link FailureReason}
 *   <li>{@code restoredTrajectories}: gone on with after a restart; {@code restartedTrajectories}
 *       and {@code redoneSteps}: begun again because the model had changed, and the steps lost by
 *       it
 *   <li>{@code modelLoadTimeMillis}: how long the subtask waited for the model
 * </ul>
 */
final class DiffusionMetrics {
  private static final int WINDOW = 1024;

  final Counter pictures;
  final Counter steps;
  final Counter outOfMemoryCalls;
  final Counter restoredTrajectories;
  final Counter restartedTrajectories;
  final Counter redoneSteps;
  private final RecentValues batchRows;
  private final RecentValues stepTimeMicros;
  private final RecentValues queueTimeMillis;
  private final Map<FailureReason, Counter> failures = new EnumMap<>(FailureReason.class);

  DiffusionMetrics(MetricGroup group, Supplier<Integer> inFlight, Duration modelLoadTime) {
    group.gauge("inFlight", inFlight::get);
    group.gauge("modelLoadTimeMillis", modelLoadTime::toMillis);
    pictures = group.counter("pictures", new SharedCounter());
    steps = group.counter("steps", new SharedCounter());
    outOfMemoryCalls = group.counter("outOfMemoryCalls", new SharedCounter());
    restoredTrajectories = group.counter("restoredTrajectories", new SharedCounter());
    restartedTrajectories = group.counter("restartedTrajectories", new SharedCounter());
    redoneSteps = group.counter("redoneSteps", new SharedCounter());
    batchRows = group.histogram("batchRows", new RecentValues(WINDOW));
    stepTimeMicros = group.histogram("stepTimeMicros", new RecentValues(WINDOW));
    queueTimeMillis = group.histogram("queueTimeMillis", new RecentValues(WINDOW));
    for (FailureReason reason : FailureReason.values()) {
      failures.put(
          reason, group.addGroup("reason", reason.name()).counter("failures", new SharedCounter()));
    }
  }

  void called(CallReport report) {
    if (report.outOfMemory()) {
      outOfMemoryCalls.inc();
    } else if (report.stage() == CallReport.Stage.STEP) {
      batchRows.update(report.rows());
      stepTimeMicros.update(report.elapsed().toNanos() / 1000);
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
