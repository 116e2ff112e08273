/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.prompt;
import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.ops.fakes.FakePipelines;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.util.OptionalLong;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.util.AbstractStreamOperatorTestHarness;
import org.junit.jupiter.api.Test;

/** The operator that is told of cancellations. */
class CancellationTest {
  private final ManualDevices devices = new ManualDevices();
  private final FakePipelines pipelines = new FakePipelines();

  private CancellableSubtask subtask() throws Exception {
    return subtask(1, 0);
  }

  private CancellableSubtask subtask(int parallelism, int index) throws Exception {
    return new CancellableSubtask(
        pipelines, settings(DiffusionOptions.BATCH_ROWS, 1), devices, parallelism, index);
  }

  @Test
  void aRequestInFlightIsTakenBackAndTheOthersGoOn() throws Exception {
    try (CancellableSubtask subtask = subtask().open()) {
      subtask.prompt(prompt("running", 5), 1);
      subtask.prompt(prompt("waiting", 5), 2);
      subtask.prompt(prompt("kept", 2), 3);
      devices.deviceCall();
      devices.deviceCall();
      subtask.cancel(
          CancelEvent.newBuilder().setId("running").setReason("The order is void.").build(),
          OptionalLong.empty());
      subtask.cancel("waiting", 4);
      subtask.settle();

      assertThat(subtask.imageIds()).containsExactly("kept");
      assertThat(subtask.failures())
          .extracting(FailureEvent::getId, FailureEvent::getReason, FailureEvent::getMessage)
          .containsExactlyInAnyOrder(
              tuple(
                  "running",
                  FailureReason.CANCELLED,
                  "Request running was cancelled before it was finished. The reason given: The"
                      + " order is void."),
              tuple(
                  "waiting",
                  FailureReason.CANCELLED,
                  "Request waiting was cancelled before it was finished."));
      assertThat(subtask.operator().meters().unknownCancellations.getCount()).isZero();
      assertThat(pipelines.last().calls).noneMatch(call -> call.contains("waiting@"));
    }
  }

  @Test
  void aFinishedPictureIsNotTakenBack() throws Exception {
    try (CancellableSubtask subtask = subtask().open()) {
      subtask.prompt(prompt("a", 1), 1);
      while (devices.deviceCall()) {}
      subtask.cancel("a", 2);
      subtask.settle();

      assertThat(subtask.imageIds()).containsExactly("a");
      assertThat(subtask.failures()).isEmpty();
    }
  }

  @Test
  void whatIsNotKnownIsCountedAndWithoutTimesForgotten() throws Exception {
    try (CancellableSubtask subtask = subtask().open()) {
      subtask.cancel(CancelEvent.newBuilder().setId("a").build(), OptionalLong.empty());
      subtask.prompt(prompt("a", 1), 1);
      subtask.settle();

      assertThat(subtask.operator().meters().unknownCancellations.getCount()).isEqualTo(1);
      assertThat(subtask.imageIds()).containsExactly("a");
    }
  }

  @Test
  void aCancellationCountsForRequestsThatWereSentBeforeItAndComeLater() throws Exception {
    try (CancellableSubtask subtask = subtask().open()) {
      subtask.cancel("a", 100);
      subtask.prompt(prompt("a", 1), 99);
      subtask.prompt(prompt("a", 2), 101); // sent anew
      subtask.settle();

      assertThat(subtask.failures())
          .extracting(FailureEvent::getMessage)
          .containsExactly("Request a was cancelled before it was admitted.");
      assertThat(subtask.imageIds()).containsExactly("a");
      assertThat(pipelines.last().calls).contains("step[a@1]");
    }
  }

  @Test
  void cancellationsSurviveARestartOnEverySubtask() throws Exception {
    OperatorSubtaskState state;
    try (CancellableSubtask subtask = subtask().open()) {
      subtask.prompt(prompt("in flight", 4), 1);
      devices.deviceCall();
      subtask.cancel("still in Kafka", 100);
      state = subtask.harness.snapshot(1, 1);
    }
    for (int index = 0; index < 2; index++) {
      OperatorSubtaskState share =
          AbstractStreamOperatorTestHarness.repartitionOperatorState(state, 16, 1, 2, index);
      try (CancellableSubtask subtask = subtask(2, index).restore(share)) {
        subtask.prompt(prompt("still in Kafka", 1), 50);
        subtask.cancel("in flight", 101);
        subtask.settle();

        assertThat(subtask.failures())
            .extracting(FailureEvent::getId)
            .contains("still in Kafka")
            .hasSize(index == 0 ? 2 : 1);
        assertThat(subtask.imageIds()).isEmpty();
      }
    }
  }

  @Test
  void onlySoManyAreRemembered() {
    Cancellations cancellations = new Cancellations();
    for (int i = 0; i <= Cancellations.MOST; i++) {
      cancellations.remember(CancelEvent.newBuilder().setId("r" + i).build(), i);
    }
    assertThat(cancellations.after("r0", 0)).isEmpty();
    assertThat(cancellations.after("r1", 1)).isPresent();
    cancellations.remember(CancelEvent.newBuilder().setId("r1").build(), 0); // older than known
    assertThat(cancellations.after("r1", 1)).isPresent();
  }

  @Test
  void aCancellationLeavesARequestAloneThatWasSentAfterItAndIsInFlight() throws Exception {
    try (CancellableSubtask subtask = subtask().open()) {
      subtask.prompt(prompt("a", 2), 101);
      devices.deviceCall();
      subtask.cancel("a", 100);
      subtask.settle();

      assertThat(subtask.failures()).isEmpty();
      assertThat(subtask.imageIds()).containsExactly("a");
    }
  }

  @Test
  void aCancellationThatComesAgainMeansNothingNew() throws Exception {
    try (CancellableSubtask subtask = subtask().open()) {
      subtask.cancel("a", 100);
      subtask.cancel("a", 100);
      subtask.cancel("a", 99);
      assertThat(subtask.operator().meters().unknownCancellations.getCount()).isEqualTo(1);
      subtask.cancel("a", 200);
      subtask.prompt(prompt("a", 1), 150);
      subtask.settle();

      assertThat(subtask.operator().meters().unknownCancellations.getCount()).isEqualTo(2);
      assertThat(subtask.failures()).extracting(FailureEvent::getId).containsExactly("a");
    }
  }
}
