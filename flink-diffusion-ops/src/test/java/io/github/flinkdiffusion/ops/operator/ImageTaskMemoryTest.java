/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.ops.fakes.FakeUpscalers;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.serving.DecodingMemory;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.junit.jupiter.api.Test;

/** Image tasks wait for the heap that their images take, and are refused if that is too much. */
class ImageTaskMemoryTest extends ImageTaskCase {
  private static ImageTaskEvent largeTask(String id) {
    return task(id, new Raster(3, 40, 50, new float[3 * 40 * 50]), "image/png").build();
  }

  @Test
  void anImageWaitsForMemoryWithoutAThreadAndACheckpointHoldsIt() throws Exception {
    ManualDevices devices = new ManualDevices();
    FakeUpscalers upscalers = new FakeUpscalers(3, "d");
    DecodingMemory memory = devices.services.decoding();
    DecodingMemory.Reservation others = memory.reserve(memory.capacity());
    OperatorSubtaskState state;
    try (ImageSubtask subtask = new ImageSubtask(upscalers, settings(), devices).open()) {
      subtask.task(largeTask("a"));
      subtask.settle();
      assertThat(subtask.images()).as("waits").isEmpty();
      state = subtask.snapshot();
      others.close();
      subtask.settle();
      assertThat(subtask.images()).hasSize(1);
    }
    assertThat(memory.reserve(memory.capacity()).granted()).as("all is given back").isDone();
    ManualDevices later = new ManualDevices();
    try (ImageSubtask subtask = new ImageSubtask(upscalers, settings(), later).restore(state)) {
      subtask.settle();
      assertThat(subtask.images()).hasSize(1);
    }
  }

  @Test
  void aTaskThatEndsWhileAnImageWaitsForMemoryLeavesTheLine() throws Exception {
    ManualDevices devices = new ManualDevices();
    DecodingMemory memory = devices.services.decoding();
    DecodingMemory.Reservation others = memory.reserve(memory.capacity());
    try (ImageSubtask subtask =
        new ImageSubtask(new FakeUpscalers(3, "d"), settings(), devices).open()) {
      subtask.task(largeTask("a"));
      subtask.settle();
    }
    others.close();
    assertThat(memory.reserve(memory.capacity()).granted()).isDone();
  }

  @Test
  void anImageThatTakesMoreThanTheOptionIsAFailureThatNamesIt() throws Exception {
    ManualDevices devices = new ManualDevices();
    Object[] settings = {ImageTaskOptions.MAX_DECODED_SIZE, new MemorySize(29_999)};
    try (ImageSubtask subtask =
        new ImageSubtask(new FakeUpscalers(3, "d"), settings(settings), devices).open()) {
      subtask.task(largeTask("a"));
      subtask.settle();
      assertThat(subtask.failures())
          .singleElement()
          .extracting(FailureEvent::getMessage)
          .asString()
          .contains("bytes of heap; at most 29999 are accepted (diffusion.image.max-decoded-size)");
    }
    DecodingMemory memory = devices.services.decoding();
    assertThat(memory.reserve(memory.capacity()).granted()).isDone();
  }

  /** A line of some kilobytes becomes a large image by one of its sides alone. */
  @Test
  void anImageThatIsBroughtToAnotherWidthAloneIsReservedByItsNewSize() throws Exception {
    Raster line = new Raster(1, 4_000, 1, new float[4_000]);
    assertRefusedForItsSize(task("a", line, "image/png").setWidth(4_000).build(), "1 x 4000");
  }

  @Test
  void aTiffFileThatIsBroughtToAnotherSizeIsReservedAsAWhole() throws Exception {
    Raster large = new Raster(1, 2_000, 2_600, new float[2_000 * 2_600]);
    assertRefusedForItsSize(
        task("a", large, "image/tiff").setWidth(8).setHeight(8).build(), "2600 x 2000");
  }

  private static void assertRefusedForItsSize(ImageTaskEvent task, String size) throws Exception {
    ManualDevices devices = new ManualDevices();
    Object[] settings = {ImageTaskOptions.MAX_DECODED_SIZE, MemorySize.parse("20 mb")};
    try (ImageSubtask subtask =
        new ImageSubtask(new FakeUpscalers(1, "d"), settings(settings), devices).open()) {
      subtask.task(task);
      subtask.settle();
      assertThat(subtask.images()).isEmpty();
      assertThat(subtask.failures())
          .singleElement()
          .extracting(FailureEvent::getMessage)
          .asString()
          .startsWith("Reading the request's images (" + size + " pixels) takes ")
          .contains("Send a smaller image, or leave out width and height");
    }
  }
}
