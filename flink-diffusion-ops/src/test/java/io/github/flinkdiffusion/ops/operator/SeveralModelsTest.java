/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.fakes.FakePipelines;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.ModelInfo;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.ModelList;
import io.github.flinkdiffusion.ops.serving.UnusableModelException;
import java.time.Duration;
import java.util.Map;
import java.util.OptionalLong;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.junit.jupiter.api.Test;

/** Requests that name their model, on a device with room for two of three. */
class SeveralModelsTest {
  private final ManualDevices devices = new ManualDevices();
  private final FakePipelines main = model("main");
  private final FakePipelines emoji = model("emoji");
  private final FakePipelines photo = model("photo");

  private static FakePipelines model(String name) {
    return new FakePipelines(new ModelInfo(name, "digest-of-" + name), 10);
  }

  private Subtask subtask(ManualDevices on) throws Exception {
    return new Subtask(
        ModelList.of(main).with("emoji", emoji).with("photo", photo),
        settings(
            DiffusionOptions.MODELS_MEMORY,
            new MemorySize(25),
            DiffusionOptions.MODELS_TURN,
            Duration.ofSeconds(10),
            DiffusionOptions.REQUEST_TIMEOUT,
            Duration.ofSeconds(60)),
        on.services);
  }

  private static PromptEvent prompt(String id, int steps, String model) {
    PromptEvent prompt = Subtask.prompt(id, steps);
    prompt.setParameters(Map.of("model", model));
    return prompt;
  }

  private void letTurnsEnd() {
    devices.ticker.advance(Duration.ofSeconds(10));
    for (int left = devices.alarms.size(); left > 0; left--) {
      devices.alarms.poll().run();
    }
  }

  @Test
  void aRequestRunsOnTheModelThatItNames() throws Exception {
    try (Subtask subtask = subtask(devices).open()) {
      subtask.harness.processElement(Subtask.prompt("a", 1), 0);
      subtask.harness.processElement(prompt("b", 1, "default"), 0);
      subtask.harness.processElement(prompt("c", 1, "emoji"), 0);
      subtask.settle(devices);
      subtask.settle(devices);

      assertThat(subtask.images())
          .extracting(ImageEvent::getId, ImageEvent::getModel, ImageEvent::getModelDigest)
          .containsExactlyInAnyOrder(
              tuple("a", "main", "digest-of-main"),
              tuple("b", "main", "digest-of-main"),
              tuple("c", "emoji", "digest-of-emoji"));
      assertThat(photo.opened).as("nobody asked for it").isEmpty();
    }
  }

  @Test
  void anUnknownModelFailsItsRequestAndNamesThoseThatThereAre() throws Exception {
    try (Subtask subtask = subtask(devices).open()) {
      subtask.harness.processElement(prompt("a", 1, "phtoo"), 0);
      subtask.settle(devices);

      FailureEvent failure = subtask.failures().get(0);
      assertThat(failure.getReason()).isEqualTo(FailureReason.INVALID_REQUEST);
      assertThat(failure.getMessage())
          .contains("'phtoo'", "default, emoji, photo", "diffusion.models");
    }
  }

  @Test
  void requestsOfLoadedModelsGoOnWhileOneWaitsForMemory() throws Exception {
    try (Subtask subtask = subtask(devices).open()) {
      subtask.harness.processElement(prompt("a", 9, "default"), 0);
      subtask.harness.processElement(prompt("b", 9, "emoji"), 0);
      subtask.harness.processElement(prompt("c", 1, "photo"), 0);
      devices.deviceCall();
      assertThat(photo.opened).isEmpty();
      subtask.harness.processElement(prompt("d", 1, "emoji"), 0);
      letTurnsEnd();
      subtask.settle(devices);
      subtask.settle(devices);

      assertThat(subtask.images())
          .extracting(ImageEvent::getId)
          .containsExactlyInAnyOrder("a", "b", "c", "d");
      assertThat(devices.services.models().mostBytes("auto")).isEqualTo(20);
      assertThat(main.last().closed || emoji.last().closed).isTrue();
    }
  }

  @Test
  void aRequestThatWaitsForItsModelCanBeSavedTimeOutAndBeCancelled() throws Exception {
    OperatorSubtaskState state;
    try (Subtask subtask = subtask(devices).open()) {
      subtask.harness.setProcessingTime(1_000);
      subtask.harness.processElement(prompt("a", 9, "default"), 0);
      subtask.harness.processElement(prompt("b", 9, "emoji"), 0);
      subtask.harness.processElement(prompt("c", 1, "photo"), 0);
      subtask.harness.processElement(prompt("d", 1, "photo"), 0);
      subtask.deliverAllMail();
      state = subtask.snapshot();

      new Cancellation(CancelEvent.newBuilder().setId("d").build(), OptionalLong.empty())
          .takeBack(((DiffusionOperator) subtask.harness.getOperator()).requestsInFlight());
      subtask.deliverAllMail();
      subtask.harness.setProcessingTime(61_100);
      subtask.deliverAllMail();
      assertThat(subtask.failures())
          .extracting(FailureEvent::getId, FailureEvent::getReason)
          .containsExactly(tuple("d", FailureReason.CANCELLED), tuple("c", FailureReason.TIMEOUT));
      letTurnsEnd();
      subtask.settle(devices);
      assertThat(photo.opened).as("nobody waits for it any more").isEmpty();
    }
    try (Subtask restored = subtask(devices).restore(state)) {
      restored.deliverAllMail();
      letTurnsEnd();
      restored.settle(devices);
      restored.settle(devices);
      assertThat(restored.images())
          .extracting(ImageEvent::getId)
          .containsExactlyInAnyOrder("a", "b", "c", "d");
    }
  }

  @Test
  void aTrajectoryGoesOnAtItsStepOnItsOwnModelAfterARestart() throws Exception {
    OperatorSubtaskState state;
    try (Subtask subtask = subtask(devices).open()) {
      subtask.harness.processElement(prompt("a", 5, "emoji"), 0);
      for (int call = 0; call < 4; call++) {
        devices.deviceCall();
      }
      state = subtask.snapshot();
    }
    ManualDevices others = new ManualDevices();
    try (Subtask restored = subtask(others).restore(state)) {
      restored.settle(others);
      restored.settle(others);
      assertThat(emoji.last().calls.get(0)).isEqualTo("restore[a@3]");
      assertThat(restored.images()).extracting(ImageEvent::getModel).containsExactly("emoji");
    }
  }

  @Test
  void aModelThatCannotBeLoadedFailsItsRequestsAloneAndIsNotTriedAgain() throws Exception {
    FakePipelines broken =
        new FakePipelines(new ModelInfo("broken", "d"), 10) {
          @Override
          public DiffusionPipeline open(String device) {
            opened.add(null);
            throw new UnusableModelException("There are no weights.");
          }
        };
    try (Subtask subtask =
        new Subtask(ModelList.of(main).with("broken", broken), settings(), devices.services)) {
      subtask.open();
      subtask.harness.processElement(prompt("a", 1, "broken"), 0);
      subtask.harness.processElement(prompt("b", 1, "broken"), 0);
      subtask.harness.processElement(prompt("c", 1, "default"), 0);
      subtask.settle(devices);

      assertThat(subtask.failures())
          .hasSize(2)
          .allMatch(failure -> failure.getReason() == FailureReason.INVALID_REQUEST)
          .allMatch(failure -> failure.getMessage().contains("There are no weights."));
      assertThat(subtask.images()).extracting(ImageEvent::getId).containsExactly("c");
      assertThat(broken.opened).hasSize(1);
    }
  }
}
