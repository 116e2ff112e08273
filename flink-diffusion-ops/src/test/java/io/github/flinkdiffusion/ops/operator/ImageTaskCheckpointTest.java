/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.ops.fakes.FakeUpscaler;
import io.github.flinkdiffusion.ops.fakes.FakeUpscalers;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.fakes.OpenedBy;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.junit.jupiter.api.Test;

/** Image tasks that are saved with some of their parts done, and go on. */
class ImageTaskCheckpointTest extends ImageTaskCase {
  @Test
  void whereverItIsBrokenOffItGoesOnAndMakesTheSamePicture() throws Exception {
    Raster image = image(40, 20);
    ImageTaskEvent task = task("a", image, "image/tiff").setEnsembleSize(2).setSteps(3).build();
    int breaks = 0;
    for (boolean broken = true; broken; breaks++) {
      ManualDevices before = new ManualDevices();
      OperatorSubtaskState state;
      long stepsBefore;
      try (ImageSubtask subtask =
          new ImageSubtask(upscalers, settings(ImageTaskOptions.PARTS_IN_FLIGHT, 3), before)
              .open()) {
        subtask.task(task);
        for (int i = 0; i < breaks; i++) {
          subtask.progress();
        }
        state = subtask.snapshot();
        broken = subtask.images().isEmpty();
        stepsBefore = subtask.meters().steps.getCount();
      }
      if (!broken) {
        break;
      }
      ManualDevices after = new ManualDevices();
      try (ImageSubtask subtask = new ImageSubtask(upscalers, settings(), after).restore(state)) {
        subtask.settle();
        assertThat(subtask.images()).as("broken off after %d", breaks).hasSize(1);
        assertClose(
            picture(subtask.images().get(0)), mean(expected(image, 3, 3), expected(image, 3, 4)));
        assertThat(subtask.meters().steps.getCount() + stepsBefore)
            .as("3 steps of 2 samples of 6 tiles, none made twice")
            .isEqualTo(3 * 2 * 6);
      }
    }
    assertThat(breaks).isGreaterThan(20);
  }

  @Test
  void savedInTheMiddleOfAnyCallItGoesOnAndMakesTheSamePicture() throws Exception {
    Raster image = image(40, 20);
    ImageTaskEvent task = task("a", image, "image/tiff").setSteps(3).build();
    int saved = 0;
    while (true) {
      Optional<OperatorSubtaskState> state = savedInCall(saved, task);
      if (state.isEmpty()) {
        break;
      }
      saved++;
      ManualDevices after = new ManualDevices();
      try (ImageSubtask subtask =
          new ImageSubtask(upscalers, settings(), after).restore(state.get())) {
        subtask.settle();
        assertThat(subtask.images()).as("saved in call %d", saved).hasSize(1);
        assertClose(picture(subtask.images().get(0)), expected(image, 3, 3));
      }
    }
    assertThat(saved).isGreaterThan(10);
  }

  /** Empty when there are not so many calls. */
  private Optional<OperatorSubtaskState> savedInCall(int which, ImageTaskEvent task)
      throws Exception {
    List<OperatorSubtaskState> states = new ArrayList<>();
    AtomicInteger calls = new AtomicInteger();
    FakeUpscaler pipeline = upscalers.pipeline();
    PipelineFactory watched = new OpenedBy(upscalers.model(), () -> pipeline);
    try (ImageSubtask subtask =
        new ImageSubtask(
                watched, settings(ImageTaskOptions.PARTS_IN_FLIGHT, 3), new ManualDevices())
            .open()) {
      pipeline.beforeCall =
          () -> {
            if (calls.getAndIncrement() == which) {
              try {
                states.add(subtask.snapshot());
              } catch (Exception e) {
                throw new IllegalStateException(e);
              }
            }
          };
      subtask.task(task);
      subtask.settle();
    }
    return states.stream().findFirst();
  }

  @Test
  void onAnotherModelItBeginsAgain() throws Exception {
    Raster image = image(40, 20);
    OperatorSubtaskState state;
    try (ImageSubtask subtask = open(ImageTaskOptions.PARTS_IN_FLIGHT, 2)) {
      subtask.task(task("a", image, "image/tiff").setSteps(5).build());
      while (subtask.meters().steps.getCount() < 2) {
        subtask.progress();
      }
      state = subtask.snapshot();
    }
    ManualDevices after = new ManualDevices();
    try (ImageSubtask subtask =
        new ImageSubtask(new FakeUpscalers(1, "other"), settings(), after).restore(state)) {
      subtask.settle();
      assertThat(subtask.images().get(0).getModelDigest()).isEqualTo("other");
      assertThat(subtask.meters().steps.getCount()).isEqualTo(6 * 5);
      assertThat(subtask.meters().restartedTrajectories.getCount()).isPositive();
      assertClose(picture(subtask.images().get(0)), expected(image, 5, 3));
    }
  }
}
