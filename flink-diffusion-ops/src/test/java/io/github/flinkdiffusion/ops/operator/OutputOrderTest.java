/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.prompt;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.OutputOrder;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.LatencyMarker;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** In which order results and watermarks leave the operator. */
class OutputOrderTest extends SubtaskCase {
  @Test
  void orderedResultsLeaveAsTheirRequestsCame() throws Exception {
    try (Subtask subtask = open(DiffusionOptions.OUTPUT_ORDER, OutputOrder.ORDERED)) {
      subtask.harness.processElement(prompt("long", 5), 0);
      subtask.harness.processElement(prompt("short", 1), 1);
      subtask.harness.processElement(prompt("refused", 0), 2);
      subtask.harness.processElement(prompt("middle", 3), 3);
      subtask.settle(devices);

      assertThat(subtask.imageIds()).containsExactly("long", "short", "middle");
      assertThat(subtask.failures()).extracting(FailureEvent::getId).containsExactly("refused");
    }
  }

  @Test
  void unorderedResultsLeaveAsTheyGetDone() throws Exception {
    try (Subtask subtask = open()) {
      subtask.harness.processElement(prompt("long", 5), 0);
      subtask.harness.processElement(prompt("short", 1), 1);
      subtask.harness.processElement(prompt("middle", 3), 2);
      subtask.settle(devices);

      assertThat(subtask.imageIds()).containsExactly("short", "middle", "long");
    }
  }

  @ParameterizedTest
  @EnumSource(OutputOrder.class)
  void noResultCrossesAWatermarkOrAChangeToIdle(OutputOrder order) throws Exception {
    try (Subtask subtask = open(DiffusionOptions.OUTPUT_ORDER, order)) {
      subtask.harness.processElement(prompt("long", 9), 10);
      subtask.harness.processWatermark(10);
      subtask.harness.processElement(prompt("short", 1), 20);
      subtask.harness.processWatermark(20);
      subtask.harness.processWatermarkStatus(WatermarkStatus.IDLE);
      assertThat(subtask.harness.getOutput()).isEmpty();
      subtask.settle(devices);

      assertThat(subtask.harness.getOutput().stream().map(OutputOrderTest::name))
          .containsExactly("long", "W10", "short", "W20", "IDLE");
    }
  }

  @Test
  void watermarksWithNothingBeforeThemLeaveAtOnce() throws Exception {
    try (Subtask subtask = open()) {
      subtask.harness.processWatermark(1);
      subtask.harness.processWatermarkStatus(WatermarkStatus.IDLE);
      subtask.harness.processWatermarkStatus(WatermarkStatus.ACTIVE);
      subtask.harness.processWatermark(2);

      assertThat(subtask.harness.getOutput().stream().map(OutputOrderTest::name))
          .containsExactly("W1", "IDLE", "ACTIVE", "W2");
    }
  }

  @Test
  void ofManyWatermarksBetweenTwoRequestsTheLastIsEnough() throws Exception {
    try (Subtask subtask = open()) {
      subtask.harness.processElement(prompt("a", 1), 0);
      for (int i = 0; i < 1000; i++) {
        subtask.harness.processWatermark(i);
      }
      subtask.settle(devices);

      assertThat(subtask.harness.getOutput().stream().map(OutputOrderTest::name))
          .containsExactly("a", "W999");
    }
  }

  @Test
  void latencyMarkersAreForwarded() throws Exception {
    try (Subtask subtask = open()) {
      subtask.harness.processElement(prompt("a", 1), 0);
      LatencyMarker marker = new LatencyMarker(1, subtask.harness.getOperator().getOperatorID(), 0);
      subtask.harness.getOneInputOperator().processLatencyMarker(marker);

      assertThat(subtask.harness.getOutput()).containsExactly(marker);
    }
  }

  @Test
  void betweenTwoResultsOtherMailGetsItsTurn() throws Exception {
    try (Subtask subtask = open(DiffusionOptions.OUTPUT_ORDER, OutputOrder.ORDERED)) {
      subtask.harness.processElement(prompt("long", 5), 0);
      subtask.harness.processElement(prompt("short", 1), 0);
      subtask.harness.processElement(prompt("too", 1), 0);
      while (devices.deviceCall() || devices.encodeOne()) {}
      int before = 0;
      while (subtask.deliverMail()) {
        assertThat(subtask.images().size() - before).isLessThanOrEqualTo(1);
        before = subtask.images().size();
      }
      assertThat(before).isEqualTo(3);
    }
  }

  private static String name(Object output) {
    if (output instanceof Watermark watermark) {
      return "W" + watermark.getTimestamp();
    }
    if (output instanceof WatermarkStatus status) {
      return status.isIdle() ? "IDLE" : "ACTIVE";
    }
    return ((ImageEvent) ((StreamRecord<?>) output).getValue()).getId();
  }
}
