/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.prompt;
import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.batching.CallReport;
import io.github.flinkdiffusion.ops.batching.CallReport.Stage;
import io.github.flinkdiffusion.ops.batching.ModelPool;
import io.github.flinkdiffusion.ops.fakes.FakePipelines;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.Histogram;
import org.apache.flink.metrics.Metric;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.metrics.groups.UnregisteredMetricGroups.UnregisteredOperatorMetricGroup;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DiffusionMetricsTest {

  /** Keeps what is registered, under the names of groups and metric. */
  private static final class Registered extends UnregisteredOperatorMetricGroup {
    private final String prefix;
    private final Map<String, Metric> metrics;

    Registered() {
      this("", new HashMap<>());
    }

    private Registered(String prefix, Map<String, Metric> metrics) {
      this.prefix = prefix;
      this.metrics = metrics;
    }

    @Override
    protected void addMetric(String name, Metric metric) {
      if (metrics != null) { // the base class registers some before this one is constructed
        metrics.put(prefix + name, metric);
      }
    }

    @Override
    public MetricGroup addGroup(String key, String value) {
      return new Registered(prefix + key + "." + value + ".", metrics);
    }

    @SuppressWarnings("unchecked") // the test knows each metric's kind
    <M extends Metric> M get(String name) {
      return (M) metrics.get(name);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "a (red:1.3) cat",
        "((red)) cat",
        "a [cat:dog:0.5]",
        "a cat <lora:style:0.8>",
        "a red++ cat",
        "a (red hat)1.3",
        "(red hat)-- on a cat",
        "(\"a cat\", \"a dog\").and()",
        "red--, cat"
      })
  void plainPromptsThatLookWeightedAreCounted(String prompt) {
    Registered group = new Registered();
    DiffusionMetrics metrics = new DiffusionMetrics(group, () -> 0, Duration.ZERO, 1);
    metrics.plain("one", prompt, true);
    metrics.plain("two", prompt, false);
    for (String plain :
        List.of("a red cat", "a cat (red)", "at 10:30 [noon]", "semi-dark, f/1.8", "1 + 1 -- 2")) {
      metrics.plain("three", plain, true);
    }
    assertThat(group.<Counter>get("numPlainWeightedPrompts").getCount()).isEqualTo(2);
  }

  @Test
  void whatIsMeasuredIsInFlinksGroup() {
    Registered group = new Registered();
    DiffusionMetrics metrics = new DiffusionMetrics(group, () -> 5, Duration.ofSeconds(2), 24);
    metrics.called(new CallReport(Stage.STEP, 3, 4, false, Duration.ofMillis(7)));
    metrics.called(new CallReport(Stage.STEP, 8, 8, true, Duration.ofMillis(1)));
    metrics.called(new CallReport(Stage.DECODE, 9, 9, false, Duration.ofMillis(1)));
    metrics.queued(Duration.ofMillis(30));
    metrics.failed(FailureReason.TIMEOUT);

    assertThat(group.<Gauge<Integer>>get("inFlight").getValue()).isEqualTo(5);
    assertThat(group.<Gauge<Long>>get("modelLoadTimeMillis").getValue()).isEqualTo(2000L);
    assertThat(group.<Histogram>get("batchRows").getStatistics().getValues()).containsExactly(4);
    assertThat(group.<Histogram>get("stepTimeMicros").getStatistics().getValues())
        .containsExactly(7000);
    assertThat(group.<Histogram>get("queueTimeMillis").getStatistics().getValues())
        .containsExactly(30);
    assertThat(group.<Histogram>get("decodeTimeMicros").getStatistics().getValues())
        .containsExactly(1000);
    assertThat(group.<Histogram>get("encodeTimeMicros").getCount()).isZero();
    assertThat(group.<Counter>get("deviceTimeMicros").getCount()).isEqualTo(9000);
    assertThat(group.<Gauge<Integer>>get("batchRowLimit").getValue()).isEqualTo(24);
    assertThat(group.<Counter>get("numOutOfMemoryCalls").getCount()).isEqualTo(1);
    assertThat(group.<Counter>get("reason.TIMEOUT.numFailures").getCount()).isEqualTo(1);
    assertThat(group.<Counter>get("reason.TIMEOUT.failures"))
        .isSameAs(group.<Counter>get("reason.TIMEOUT.numFailures"));
    assertThat(group.<Counter>get("reason.NOT_FINITE.numFailures").getCount()).isZero();
  }

  @Test
  void deviceTimeIsCountedByTenantAndThatOfTooManyTenantsTogether() {
    Registered group = new Registered();
    DiffusionMetrics metrics = new DiffusionMetrics(group, () -> 0, Duration.ZERO, 1);
    metrics.tookDevice("acme", Duration.ofNanos(600));
    metrics.tookDevice("acme", Duration.ofNanos(600));
    metrics.tookDevice("x".repeat(129), Duration.ofNanos(2000));
    for (int i = 0; i < 200; i++) {
      metrics.tookDevice("t" + i, Duration.ofNanos(3000));
    }

    assertThat(group.<Counter>get("tenant.acme.deviceTimeMicros").getCount()).isEqualTo(1);
    assertThat(group.<Counter>get("tenant.t97.deviceTimeMicros").getCount()).isEqualTo(3);
    assertThat(group.metrics).doesNotContainKey("tenant.t98.deviceTimeMicros");
    assertThat(group.<Counter>get("tenant.other.deviceTimeMicros").getCount())
        .isEqualTo(2 + 102 * 3);
  }

  @Test
  void theReferenceHasEveryMetricWithItsKind() {
    Registered group = new Registered();
    DiffusionMetrics metrics = new DiffusionMetrics(group, () -> 0, Duration.ZERO, 1);
    metrics.model("emoji", () -> new ModelPool.Counts(0, 0, 0));
    metrics.tookDevice("acme", Duration.ZERO);
    metrics.live(() -> 0, () -> 0);
    Map<String, String> kinds = new TreeMap<>();
    group.metrics.forEach(
        (name, metric) ->
            kinds.put(
                name.replaceAll("^reason[.].*[.]", "reason.R.")
                    .replaceAll("^tenant[.].*[.]", "tenant.T.")
                    .replaceAll("^model[.].*[.]", "model.M."),
                metric.getMetricType().name().toLowerCase(Locale.ROOT)));

    Map<String, String> described = new TreeMap<>();
    for (DiffusionMetrics.Described metric : DiffusionMetrics.REFERENCE) {
      described.put(metric.name(), metric.kind());
      if (metric.formerName() != null) {
        described.put(metric.formerName(), metric.kind());
      }
    }
    assertThat(described).isEqualTo(kinds);
  }

  @Test
  void theOperatorCountsWhatHappens() throws Exception {
    ManualDevices devices = new ManualDevices();
    FakePipelines pipelines = new FakePipelines();
    OperatorSubtaskState state;
    try (Subtask subtask = new Subtask(pipelines, settings(), devices.services).open()) {
      subtask.harness.processElement(prompt("a", 2), 0);
      subtask.harness.processElement(prompt("b", 3), 0);
      subtask.settle(devices);
      assertThat(subtask.meters().pictures.getCount()).isEqualTo(2);
      assertThat(subtask.meters().steps.getCount()).isEqualTo(5);
      assertThat(subtask.inFlight()).isZero();
      assertThat(subtask.meters().plainWeightedPrompts.getCount()).isZero();

      PromptEvent weighted = prompt("c", 9);
      weighted.setPrompt("a (red:1.3) cat");
      subtask.harness.processElement(weighted, 0);
      devices.deviceCall();
      devices.deviceCall();
      devices.deviceCall();
      assertThat(subtask.inFlight()).isEqualTo(1);
      assertThat(subtask.meters().plainWeightedPrompts.getCount()).isEqualTo(1);
      state = subtask.snapshot();
    }
    try (Subtask same =
        new Subtask(pipelines, settings(), new ManualDevices().services).restore(state)) {
      assertThat(same.meters().restoredTrajectories.getCount()).isEqualTo(1);
      assertThat(same.meters().restartedTrajectories.getCount()).isZero();
    }
    ManualDevices after = new ManualDevices();
    try (Subtask changed =
        new Subtask(new FakePipelines("next version"), settings(), after.services).restore(state)) {
      assertThat(changed.meters().restoredTrajectories.getCount()).isZero();
      assertThat(changed.meters().restartedTrajectories.getCount()).isEqualTo(1);
      changed.settle(after);
      assertThat(changed.meters().steps.getCount()).isEqualTo(9);
      assertThat(changed.meters().redoneSteps.getCount()).isEqualTo(2);
    }
  }
}
