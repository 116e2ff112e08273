/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.ops.batching.CallReport;
import io.github.flinkdiffusion.ops.batching.ModelPool;
import io.github.flinkdiffusion.ops.prompt.WeightMarks;
import java.time.Duration;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Supplier;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.Histogram;
import org.apache.flink.metrics.MeterView;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.traces.SpanBuilder;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What an operator tells about itself, in Flink's group of the operator; {@link #REFERENCE} says
 * what each metric is. Written by the task's and the device's thread.
 */
final class DiffusionMetrics {
  private static final int WINDOW = 1024;

  /** Tenants that have a metric of their own; a metrics system bears no endless list of labels. */
  private static final int MOST_TENANTS = 100;

  /** A longer name would be a burden for whoever reads it, and is counted as {@link #OTHERS}. */
  private static final int LONGEST_TENANT = 128;

  private static final String OTHERS = "other";

  /** All metrics, in the order in which they are documented. */
  static final List<Described> REFERENCE =
      List.of(
          new Described("inFlight", null, "gauge", "requests admitted and not yet answered"),
          new Described("numImages", "pictures", "counter", "images emitted"),
          new Described("numTexts", "texts", "counter", "texts emitted"),
          new Described(
              "numTiles",
              "tiles",
              "counter",
              "finished tiles of image tasks, with all their samples; an image that is not cut"
                  + " counts as one"),
          new Described(
              "reason.R.numFailures",
              "reason.R.failures",
              "counter",
              "failures emitted, for each reason R of `FailureReason`, e.g."
                  + " `reason.TIMEOUT.numFailures`"),
          new Described(
              "numRetries",
              "retries",
              "counter",
              "requests started again after an attempt that failed for them alone"),
          new Described(
              "numUnknownCancellations",
              "unknownCancellations",
              "counter",
              "cancellations of requests that were not in flight in this subtask; every subtask"
                  + " gets every cancellation, so all subtasks but one count each"),
          new Described(
              "numSteps",
              "steps",
              "counter",
              "network steps computed for requests of this subtask"),
          new Described(
              "numStepsPerSecond",
              "stepsPerSecond",
              "meter",
              "`numSteps` per second, over the last minute"),
          new Described(
              "batchRows",
              null,
              "histogram",
              "rows of the network calls that this subtask took part in, including rows of other"
                  + " subtasks"),
          new Described(
              "batchRowLimit",
              null,
              "gauge",
              "maximum rows of a network call, as set or as measured"),
          new Described(
              "numOutOfMemoryCalls",
              "outOfMemoryCalls",
              "counter",
              "device calls that did not fit into memory: the limit was halved, or the request"
                  + " failed"),
          new Described(
              "queueTimeMillis",
              null,
              "histogram",
              "time from a request's admission to its start on the device"),
          new Described(
              "encodeTimeMicros",
              null,
              "histogram",
              "device time of one call that starts requests"),
          new Described("stepTimeMicros", null, "histogram", "device time of one network call"),
          new Described(
              "decodeTimeMicros", null, "histogram", "device time of one call that decodes images"),
          new Described(
              "previewTimeMicros",
              null,
              "histogram",
              "device time of one call that decodes previews"),
          new Described(
              "deviceTimeMicros",
              null,
              "counter",
              "device time of all calls that this subtask took part in; subtasks that share a"
                  + " device share calls, so their sum may exceed the elapsed time"),
          new Described(
              "tenant.T.deviceTimeMicros",
              null,
              "counter",
              "device time that requests of the tenant T took: of each call, their share by rows,"
                  + " so that subtasks and tenants add up to what the devices did; tenants beyond"
                  + " the first 100 count as `other`"),
          new Described(
              "modelLoadTimeMillis",
              null,
              "gauge",
              "time that the subtask waited for the model to be loaded and measured"),
          new Described(
              "numRestoredTrajectories",
              "restoredTrajectories",
              "counter",
              "requests continued at their step after a restart"),
          new Described(
              "numRestartedTrajectories",
              "restartedTrajectories",
              "counter",
              "requests started again after a restart because the model had changed"),
          new Described(
              "numRedoneSteps",
              "redoneSteps",
              "counter",
              "network steps that were computed before a failure and had to be computed again;"
                  + " those of a killed process are not known"),
          new Described(
              "numPlainWeightedPrompts",
              null,
              "counter",
              "prompts that look weighted, such as `(red:1.3)` or `red++`, and were read as plain"
                  + " text: requests without the parameter `promptLanguage`. The log has a hint"
                  + " with the first one"),
          new Described(
              "numRefusedModelEvents",
              null,
              "counter",
              "model events that this subtask could not follow; the model's version stayed"),
          new Described(
              "numRepeatedFrames",
              null,
              "gauge",
              "frames of streams that were answered with the previous result since the subtask"
                  + " began; only with `diffusion.live.enabled`"),
          new Described(
              "liveStreams",
              null,
              "gauge",
              "streams of frames that the subtask remembers; only with `diffusion.live.enabled`"),
          new Described(
              "model.M.numRequests",
              null,
              "counter",
              "requests admitted for the model M of `diffusion.models`, or `default`; each of the"
                  + " next three is of the process and the device, not of the subtask"),
          new Described("model.M.numLoads", null, "gauge", "how often the model M was loaded"),
          new Described(
              "model.M.numUnloads",
              null,
              "gauge",
              "how often the model M was unloaded, for any reason"),
          new Described(
              "model.M.residentBytes",
              null,
              "gauge",
              "memory that the weights of the model M take now; 0 while it is not loaded"));

  /**
   * One row of {@link #REFERENCE}.
   *
   * @param formerName deprecated, and registered too; null for none
   */
  record Described(String name, String formerName, String kind, String description) {}

  private static final Logger LOG = LoggerFactory.getLogger(DiffusionMetrics.class);

  private final MetricGroup group;
  final Counter pictures;
  final Counter texts;
  final Counter tiles;
  final Counter steps;
  final Counter retries;
  final Counter unknownCancellations;
  final Counter outOfMemoryCalls;
  final Counter restoredTrajectories;
  final Counter restartedTrajectories;
  final Counter redoneSteps;
  final Counter refusedModelEvents;
  final Counter plainWeightedPrompts;
  private final Counter deviceTimeMicros;
  private final Histogram batchRows;
  private final Histogram queueTimeMillis;
  private final Map<CallReport.Stage, Histogram> callTimeMicros =
      new EnumMap<>(CallReport.Stage.class);
  private final Map<FailureReason, Counter> failures = new EnumMap<>(FailureReason.class);
  private final Map<String, Counter> requests = new HashMap<>();
  private final Map<String, SharedCounter> deviceNanosOfTenants = new ConcurrentHashMap<>();

  DiffusionMetrics(
      MetricGroup group, Supplier<Integer> inFlight, Duration modelLoadTime, int batchRowLimit) {
    this.group = group;
    group.gauge("inFlight", inFlight::get);
    group.gauge("modelLoadTimeMillis", modelLoadTime::toMillis);
    group.gauge("batchRowLimit", () -> batchRowLimit);
    pictures = counter(group, "numImages", "pictures");
    texts = counter(group, "numTexts", "texts");
    tiles = counter(group, "numTiles", "tiles");
    steps = counter(group, "numSteps", "steps");
    group.meter("numStepsPerSecond", new MeterView(steps));
    group.meter("stepsPerSecond", new MeterView(steps));
    retries = counter(group, "numRetries", "retries");
    unknownCancellations = counter(group, "numUnknownCancellations", "unknownCancellations");
    outOfMemoryCalls = counter(group, "numOutOfMemoryCalls", "outOfMemoryCalls");
    restoredTrajectories = counter(group, "numRestoredTrajectories", "restoredTrajectories");
    restartedTrajectories = counter(group, "numRestartedTrajectories", "restartedTrajectories");
    redoneSteps = counter(group, "numRedoneSteps", "redoneSteps");
    refusedModelEvents = group.counter("numRefusedModelEvents", new SharedCounter());
    plainWeightedPrompts = group.counter("numPlainWeightedPrompts", new SharedCounter());
    deviceTimeMicros = group.counter("deviceTimeMicros", new SharedCounter());
    batchRows = group.histogram("batchRows", new RecentValues(WINDOW));
    queueTimeMillis = group.histogram("queueTimeMillis", new RecentValues(WINDOW));
    for (CallReport.Stage stage : CallReport.Stage.values()) {
      String name = stage.name().toLowerCase(Locale.ROOT) + "TimeMicros";
      callTimeMicros.put(stage, group.histogram(name, new RecentValues(WINDOW)));
    }
    for (FailureReason reason : FailureReason.values()) {
      failures.put(
          reason, counter(group.addGroup("reason", reason.name()), "numFailures", "failures"));
    }
  }

  /** Where requests may be frames of streams. */
  void live(Gauge<?> repeated, Gauge<?> remembered) {
    group.gauge("numRepeatedFrames", repeated);
    group.gauge("liveStreams", remembered);
  }

  /** A model that requests may name. */
  void model(String name, Supplier<ModelPool.Counts> counts) {
    MetricGroup model = group.addGroup("model", name);
    requests.put(name, model.counter("numRequests", new SharedCounter()));
    model.gauge("numLoads", () -> counts.get().loads());
    model.gauge("numUnloads", () -> counts.get().unloads());
    model.gauge("residentBytes", () -> counts.get().bytes());
  }

  /** One has come in for a model; of a name that there is not, nothing is counted here. */
  void requested(String model) {
    Counter known = requests.get(model);
    if (known != null) {
      known.inc();
    }
  }

  /**
   * A request is read as plain text.
   *
   * @param takesLanguage whether its model would read weights
   */
  void plain(String request, String prompt, boolean takesLanguage) {
    Optional<String> mark = WeightMarks.first(prompt);
    if (mark.isEmpty()) {
      return;
    }
    if (plainWeightedPrompts.getCount() == 0) {
      LOG.warn(
          "The prompt of request {} has '{}', which looks like a weight, and was read as plain"
              + " text. {} The metric numPlainWeightedPrompts counts further ones.",
          request,
          mark.get(),
          takesLanguage
              ? "Set the parameter promptLanguage of the request to a1111 or compel to have it"
                  + " weighted."
              : "This model knows no weights.");
    }
    plainWeightedPrompts.inc();
  }

  /** A counter named as Flink names its own, and once more as earlier versions did. */
  private static Counter counter(MetricGroup group, String name, String formerName) {
    return group.counter(formerName, group.counter(name, new SharedCounter()));
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

  /** A tenant's part of a device call. */
  void tookDevice(String tenant, Duration share) {
    SharedCounter known = deviceNanosOfTenants.get(tenant);
    (known == null ? ofTenant(tenant) : known).inc(share.toNanos());
  }

  private synchronized SharedCounter ofTenant(String tenant) {
    boolean own =
        deviceNanosOfTenants.containsKey(tenant)
            || (deviceNanosOfTenants.size() < MOST_TENANTS && tenant.length() <= LONGEST_TENANT);
    return deviceNanosOfTenants.computeIfAbsent(
        own ? tenant : OTHERS,
        name -> {
          SharedCounter nanos = new SharedCounter();
          group.addGroup("tenant", name).counter("deviceTimeMicros", new Micros(nanos));
          return nanos;
        });
  }

  void queued(Duration time) {
    queueTimeMillis.update(time.toMillis());
  }

  /** Reports a request's span where the cluster has a trace reporter. */
  void traced(SpanBuilder span) {
    group.addSpan(span);
  }

  void failed(FailureReason reason) {
    failures.get(reason).inc();
  }

  /** Nanoseconds as a counter of microseconds, which loses nothing of many short times. */
  private static final class Micros implements Counter {
    private final Counter nanos;

    Micros(Counter nanos) {
      this.nanos = nanos;
    }

    @Override
    public void inc() {
      inc(1);
    }

    @Override
    public void inc(long n) {
      nanos.inc(n * 1000);
    }

    @Override
    public void dec() {
      dec(1);
    }

    @Override
    public void dec(long n) {
      nanos.dec(n * 1000);
    }

    @Override
    public long getCount() {
      return nanos.getCount() / 1000;
    }
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
