/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.prompt;
import static io.github.flinkdiffusion.ops.operator.Subtask.undisturbed;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import org.junit.jupiter.api.Test;

/** Progress events of requests that are under way. */
class ProgressTest extends SubtaskCase {
  @Test
  void progressIsToldEverySoManySteps() throws Exception {
    try (Subtask subtask = open(DiffusionOptions.PROGRESS_EVERY_STEPS, 2)) {
      subtask.harness.processElement(prompt("a", 5), 77);
      subtask.settle(devices);

      assertThat(subtask.progressEvents())
          .extracting(ProgressEvent::getId, ProgressEvent::getStep, ProgressEvent::getTotalSteps)
          .containsExactly(tuple("a", 2, 5), tuple("a", 4, 5), tuple("a", 5, 5));
    }
  }

  @Test
  void progressMayCarryASmallPicture() throws Exception {
    try (Subtask subtask = open(DiffusionOptions.PREVIEW_EVERY_STEPS, 2)) {
      subtask.harness.processElement(prompt("a", 5), 77);
      subtask.settle(devices);

      assertThat(subtask.progressEvents())
          .extracting(ProgressEvent::getStep, ProgressEvent::getTotalSteps)
          .containsExactly(tuple(2, 5), tuple(4, 5));
      assertThat(PngCodec.decode(subtask.progressEvents().get(0).getPreview().array()).width())
          .isEqualTo(1);
      assertThat(subtask.images().get(0).getImage().array()).isEqualTo(undisturbed(prompt("a", 5)));
      assertThat(pipelines.last().calls).contains("preview[a@2]", "preview[a@4]");
    }
  }

  @Test
  void aPreviewThatComesAfterThePictureIsLeftOut() throws Exception {
    try (Subtask subtask = open(DiffusionOptions.PREVIEW_EVERY_STEPS, 4)) {
      subtask.harness.processElement(prompt("a", 5), 77);
      while (devices.deviceCall()) {}
      while (devices.encodeOne()) {}
      subtask.deliverAllMail();

      assertThat(subtask.progressEvents()).isEmpty();
      assertThat(subtask.imageIds()).containsExactly("a");
    }
  }

  @Test
  void aTaskThatDoesNotReadItsMailIsNotBuriedUnderProgress() throws Exception {
    try (Subtask subtask = open(DiffusionOptions.PROGRESS_EVERY_STEPS, 1)) {
      subtask.harness.processElement(prompt("a", 900), 0);
      while (devices.deviceCall()) {}
      int mails = 0;
      while (subtask.deliverMail()) {
        mails++;
      }
      assertThat(mails).isEqualTo(1);
      assertThat(subtask.progressEvents()).extracting(ProgressEvent::getStep).containsExactly(900);
    }
  }
}
