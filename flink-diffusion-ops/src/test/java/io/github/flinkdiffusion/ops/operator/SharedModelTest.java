/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.prompt;
import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.fakes.OpenedBy;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.time.Duration;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.junit.jupiter.api.Test;

/** Subtasks that share a model, and tasks that come after one another. */
class SharedModelTest extends SubtaskCase {
  @Test
  void aRestartedTaskFindsItsModelAndContinues() throws Exception {
    DiffusionSettings kept = settings(DiffusionOptions.DEVICE_KEEP_MODEL, Duration.ofSeconds(30));
    OperatorSubtaskState state;
    try (Subtask before = new Subtask(pipelines, kept, devices.services).open()) {
      before.harness.processElement(prompt("a", 3), 0);
      devices.deviceCall();
      devices.deviceCall();
      state = before.snapshot();
    }
    try (Subtask after = new Subtask(pipelines, kept, devices.services).restore(state)) {
      after.settle(devices);
      assertThat(after.imageIds()).containsExactly("a");
    }
    assertThat(pipelines.opened).hasSize(1);
    assertThat(pipelines.last().closed).isFalse();

    devices.alarms.forEach(Runnable::run);
    assertThat(pipelines.last().closed).isTrue();
  }

  @Test
  void subtasksShareTheModelAndItsCalls() throws Exception {
    try (Subtask one = new Subtask(pipelines, settings(), devices.services, 2, 0).open();
        Subtask two = new Subtask(pipelines, settings(), devices.services, 2, 1).open()) {
      one.harness.processElement(prompt("a", 1), 0);
      two.harness.processElement(prompt("b", 1), 0);
      while (devices.deviceCall() || devices.encodeOne()) {}
      one.deliverAllMail();
      two.deliverAllMail();

      assertThat(pipelines.opened).hasSize(1);
      assertThat(pipelines.last().calls).contains("step[a@0, b@0]");
      assertThat(one.imageIds()).containsExactly("a");
      assertThat(two.imageIds()).containsExactly("b");
    }
    assertThat(pipelines.last().closed).isTrue();
  }

  @Test
  void closingOneSubtaskLeavesTheOthersAlone() throws Exception {
    try (Subtask two = new Subtask(pipelines, settings(), devices.services, 2, 1).open()) {
      Subtask one = new Subtask(pipelines, settings(), devices.services, 2, 0).open();
      one.harness.processElement(prompt("a", 3), 0);
      two.harness.processElement(prompt("b", 3), 0);
      devices.deviceCall();
      devices.deviceCall();
      one.close();
      two.settle(devices);

      assertThat(two.imageIds()).containsExactly("b");
      assertThat(pipelines.last().calls).contains("step[a@0, b@0]", "step[b@1]");
    }
  }

  @Test
  void aModelThatDoesNotOpenFailsTheTaskWithTheReason() throws Exception {
    PipelineFactory broken =
        new OpenedBy(
            "broken",
            () -> {
              throw new IllegalStateException("unet/config.json is missing");
            });
    Subtask subtask = new Subtask(broken, settings(), devices.services);
    assertThatThrownBy(subtask::open).hasRootCauseMessage("unet/config.json is missing");
    subtask.close();
  }
}
