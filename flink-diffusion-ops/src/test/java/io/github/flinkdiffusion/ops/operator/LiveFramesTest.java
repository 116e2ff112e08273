/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.ops.fakes.FakeUpscaler;
import io.github.flinkdiffusion.ops.fakes.FakeUpscalers;
import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import io.github.flinkdiffusion.ops.pipeline.Seeds;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.LiveOptions;
import io.github.flinkdiffusion.ops.serving.OutputOrder;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.util.AbstractStreamOperatorTestHarness;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Image tasks that are frames of streams, in Flink's harness; the device works call by call. */
class LiveFramesTest {
  private static final String DIGEST = "digest-of-fake-upscaler";

  private final FakeUpscalers upscalers = new FakeUpscalers(1, DIGEST);

  private LiveSubtask open(Object... optionsAndValues) throws Exception {
    return new LiveSubtask(upscalers, 1, 0, optionsAndValues).open();
  }

  /** Gray, 8 bits, all of one level. */
  private static Raster gray(int level) {
    float[] values = new float[8 * 6];
    Arrays.fill(values, level / 255f);
    return new Raster(
        1, 6, 8, values, PixelFormat.of(Bands.GRAY, SampleType.UINT8), ImageMetadata.NONE);
  }

  private static ImageTaskEvent.Builder frame(String stream, int number, int level) {
    return ImageTaskEvent.newBuilder()
        .setId(stream + "/" + number)
        .setImage(Payloads.inline(Images.write(gray(level), "image/png"), "image/png"))
        .setSteps(2)
        .setParameters(Map.of(FrameId.STREAM, stream, FrameId.FRAME, Integer.toString(number)));
  }

  private static int level(ImageEvent event) {
    return Math.round(
        255
            * Images.read(
                    Payloads.inlineBytes(Payloads.image(event)).orElseThrow(), ReadOptions.DEFAULT)
                .at(0, 2, 3));
  }

  private static List<String> ids(List<ImageEvent> images, String stream) {
    return images.stream().map(ImageEvent::getId).filter(id -> id.startsWith(stream)).toList();
  }

  @Test
  void framesOfAStreamHaveOneSeedAndLeaveInOrderWhateverTheirSteps() throws Exception {
    try (LiveSubtask live = open(DiffusionOptions.OUTPUT_ORDER, OutputOrder.UNORDERED)) {
      for (int number = 0; number < 4; number++) {
        live.send(frame("a", number, 10).setSteps(4 - number).build());
        live.send(frame("b", 5 * number, 20).setSteps(1).build());
      }
      live.settle();

      assertThat(ids(live.images(), "a")).containsExactly("a/0", "a/1", "a/2", "a/3");
      assertThat(ids(live.images(), "b")).containsExactly("b/0", "b/5", "b/10", "b/15");
      assertThat(live.images())
          .allSatisfy(
              image ->
                  assertThat(image.getSeed())
                      .isEqualTo(Seeds.fromId(image.getId().substring(0, 1))));
      assertThat(live.images())
          .extracting(ImageEvent::getSteps)
          .containsExactlyInAnyOrder(4, 3, 2, 1, 1, 1, 1, 1);
    }
  }

  @Test
  void aSeedThatAFrameNamesIsKept() throws Exception {
    try (LiveSubtask live = open()) {
      live.send(frame("a", 0, 10).setSeed(77L).build());
      live.send(frame("a", 1, 10).build());
      live.settle();

      assertThat(live.images()).extracting(ImageEvent::getSeed).containsExactly(77L, 77L);
    }
  }

  @Test
  void lookingBackCanBeSwitchedOnLater() throws Exception {
    OperatorSubtaskState state;
    try (LiveSubtask live = open()) {
      live.send(frame("a", 0, 100).build());
      live.settle();
      state = live.harness.snapshot(1, 1);
    }
    try (LiveSubtask live =
        new LiveSubtask(upscalers, 1, 0, LiveOptions.BLEND, 0.5).restore(state)) {
      live.send(frame("a", 1, 100).setSteps(1).build());
      live.send(frame("a", 2, 10).setSteps(1).build());
      live.settle();
      assertThat(live.images())
          .extracting(image -> image.getAudit().getParameters().get(FrameBlend.BLEND))
          .containsExactly(null, "0.5");
    }
  }

  @Test
  void aFrameIsGeneratedFromItselfAndThePreviousResult() throws Exception {
    try (LiveSubtask live = open(LiveOptions.BLEND, 0.25)) {
      live.send(frame("a", 0, 100).setSeed(0L).build());
      live.send(frame("a", 1, 200).build());
      live.settle();

      ImageEvent first = live.images().get(0);
      ImageEvent second = live.images().get(1);
      double ofSteps = 255 * 2 * FakeUpscaler.STEP;
      assertThat((double) level(first)).isCloseTo(100 + ofSteps, within(1.0));
      assertThat((double) level(second))
          .isCloseTo(0.75 * 200 + 0.25 * level(first) + ofSteps, within(1.0));
      assertThat(second.getAudit().getParameters()).containsEntry(FrameBlend.BLEND, "0.25");
      assertThat(second.getAudit().getInputDigests())
          .containsEntry(FrameBlend.PREVIOUS, first.getDigest());
      assertThat(first.getAudit().getInputDigests()).doesNotContainKey(FrameBlend.PREVIOUS);
    }
  }

  @Test
  void aFrameThatHardlyChangedIsAnsweredWithThePreviousResult() throws Exception {
    try (LiveSubtask live = open(LiveOptions.SIMILARITY, 0.9, LiveOptions.MAX_REPEATS, 2)) {
      for (int number = 0; number < 4; number++) {
        live.send(
            frame("a", number, 10).setAttributes(Map.of("n", Integer.toString(number))).build());
      }
      live.send(frame("a", 4, 10).setSteps(1).build());
      live.send(frame("a", 5, 240).setSteps(1).build());
      live.settle();

      List<ImageEvent> images = live.images();
      assertThat(ids(images, "a")).containsExactly("a/0", "a/1", "a/2", "a/3", "a/4", "a/5");
      assertThat(images)
          .extracting(image -> image.getAudit().getParameters().get(FrameWork.REPEATS))
          .as("two repeats at most; another number of steps and another image are not repeated")
          .containsExactly(null, "0", "0", null, null, null);
      assertThat(images.get(1).getDigest()).isEqualTo(images.get(0).getDigest());
      assertThat(images.get(1).getAttributes()).isEqualTo(Map.of("n", "1"));
      assertThat(images.get(1).getDeviceSeconds()).isZero();
      assertThat(images.get(1).getOriginal()).isNotNull();
      assertThat(live.meters().steps.getCount()).isEqualTo(2 + 2 + 1 + 1);
      assertThat(live.frames().repeated()).isEqualTo(2);
    }
  }

  /** All that makes a frame depend on the one before it. */
  private static final Object[] LOOKING_BACK = {
    LiveOptions.BLEND, 0.5, LiveOptions.SIMILARITY, 0.9, LiveOptions.MAX_REPEATS, 1
  };

  private static List<ImageTaskEvent> clip() {
    List<ImageTaskEvent> clip = new ArrayList<>();
    int[] levels = {30, 30, 200, 201, 60};
    for (int number = 0; number < levels.length; number++) {
      clip.add(frame("a", number, levels[number]).setSteps(1 + number % 3).build());
      clip.add(frame("b", number, 255 - levels[number]).setSteps(2).build());
    }
    return clip;
  }

  private Map<String, String> undisturbed() throws Exception {
    Map<String, String> digests = new HashMap<>();
    try (LiveSubtask live = open(LOOKING_BACK)) {
      for (ImageTaskEvent task : clip()) {
        live.send(task);
      }
      live.settle();
      live.images().forEach(image -> digests.put(image.getId(), image.getDigest()));
    }
    assertThat(digests).hasSize(clip().size());
    return digests;
  }

  @Test
  void whereItIsBrokenOffEachFrameIsAnsweredOnceAndAsIfNothingHadHappened() throws Exception {
    brokenOff(9);
  }

  @Test
  @Tag("nightly")
  void whereverItIsBrokenOffEachFrameIsAnsweredOnceAndAsIfNothingHadHappened() throws Exception {
    brokenOff(1);
  }

  /**
   * @param every so many pieces of work, once
   */
  private void brokenOff(int every) throws Exception {
    Map<String, String> expected = undisturbed();
    int breaks = 0;
    for (boolean broken = true; broken && breaks < 500; breaks += every) {
      List<ImageEvent> answers = new ArrayList<>();
      OperatorSubtaskState state;
      try (LiveSubtask live = open(LOOKING_BACK)) {
        for (ImageTaskEvent task : clip()) {
          live.send(task);
        }
        for (int i = 0; i < breaks; i++) {
          live.progress();
        }
        state = live.harness.snapshot(1, 1);
        answers.addAll(live.images());
        broken = answers.size() < expected.size();
      }
      try (LiveSubtask live = new LiveSubtask(upscalers, 1, 0, LOOKING_BACK).restore(state)) {
        live.settle();
        answers.addAll(live.images());
        assertThat(live.failures()).isEmpty();
      }
      assertThat(answers).as("broken off after %d", breaks).hasSize(expected.size());
      assertThat(answers)
          .allSatisfy(
              image -> assertThat(image.getDigest()).isEqualTo(expected.get(image.getId())));
      assertThat(ids(answers, "a")).containsExactly("a/0", "a/1", "a/2", "a/3", "a/4");
      assertThat(ids(answers, "b")).containsExactly("b/0", "b/1", "b/2", "b/3", "b/4");
    }
    assertThat(breaks).isGreaterThan(20);
  }

  @Test
  void streamsStayTogetherWhenTheJobIsRescaled() throws Exception {
    Map<String, String> expected = undisturbed();
    OperatorSubtaskState state;
    List<ImageEvent> answers = new ArrayList<>();
    try (LiveSubtask live = open(LOOKING_BACK)) {
      for (ImageTaskEvent task : clip()) {
        live.send(task);
      }
      for (int i = 0; i < 25; i++) {
        live.progress();
      }
      state = live.harness.snapshot(1, 1);
      answers.addAll(live.images());
    }
    for (int index = 0; index < 2; index++) {
      OperatorSubtaskState part =
          AbstractStreamOperatorTestHarness.repartitionOperatorState(
              state, LiveSubtask.MAX_PARALLELISM, 1, 2, index);
      try (LiveSubtask live = new LiveSubtask(upscalers, 2, index, LOOKING_BACK).restore(part)) {
        live.settle();
        answers.addAll(live.images());
      }
    }
    assertThat(answers).hasSize(expected.size());
    assertThat(answers)
        .allSatisfy(image -> assertThat(image.getDigest()).isEqualTo(expected.get(image.getId())));
  }

  @Test
  void aFrameThatCannotBeProcessedDoesNotStopItsStream() throws Exception {
    try (LiveSubtask live = open(LiveOptions.BLEND, 0.5)) {
      live.send(frame("a", 0, 100).build());
      live.send(
          frame("a", 1, 100).setImage(Payloads.inline(new byte[] {1, 2, 3}, "image/png")).build());
      live.send(frame("a", 2, 100).build());
      live.settle();

      assertThat(ids(live.images(), "a")).containsExactly("a/0", "a/2");
      assertThat(live.failures()).extracting(FailureEvent::getId).containsExactly("a/1");
      assertThat(live.images().get(1).getAudit().getInputDigests())
          .containsEntry(FrameBlend.PREVIOUS, live.images().get(0).getDigest());
    }
  }

  @Test
  void whatIsNoFrameOfItsStreamIsRefusedByName() throws Exception {
    try (LiveSubtask live = open(LiveOptions.MAX_STREAMS, 1)) {
      live.send(frame("a", 5, 100).build());
      live.send(frame("a", 5, 100).setId("again").build());
      live.send(frame("a", 4, 100).build());
      live.send(frame("b", 0, 100).build());
      live.send(
          frame("a", 6, 100).setId("half").setParameters(Map.of(FrameId.STREAM, "a")).build());
      live.send(
          frame("a", 6, 100)
              .setId("minus")
              .setParameters(Map.of(FrameId.STREAM, "a", FrameId.FRAME, "-1"))
              .build());
      live.send(frame("x", 0, 100).setId("no frame").setParameters(Map.of()).build());
      OperatorSubtaskState state = live.harness.snapshot(1, 1);
      live.settle();

      assertThat(live.images())
          .extracting(ImageEvent::getId)
          .containsExactlyInAnyOrder("a/5", "no frame");
      assertThat(live.failures())
          .extracting(FailureEvent::getId)
          .containsExactlyInAnyOrder("again", "a/4", "b/0", "half", "minus");
      assertThat(message(live, "a/4"))
          .contains("Frame 4 of stream 'a' came after frame 5.", "must rise");
      assertThat(message(live, "b/0")).contains(LiveOptions.MAX_STREAMS.key());
      assertThat(reason(live, "b/0")).isEqualTo(FailureReason.QUOTA_EXCEEDED);
      assertThat(message(live, "half")).contains("'stream' without 'frame'");
      assertThat(message(live, "minus")).contains("frame is '-1'");

      try (LiveSubtask after = new LiveSubtask(upscalers, 1, 0).restore(state)) {
        after.settle();
        assertThat(after.images()).hasSize(2);
        assertThat(after.failures()).hasSize(5);
      }
    }
  }

  private static FailureEvent failure(LiveSubtask live, String id) {
    return live.failures().stream().filter(one -> one.getId().equals(id)).findAny().orElseThrow();
  }

  private static String message(LiveSubtask live, String id) {
    return failure(live, id).getMessage();
  }

  private static FailureReason reason(LiveSubtask live, String id) {
    return failure(live, id).getReason();
  }

  @Test
  void aStreamWithoutFramesIsForgotten() throws Exception {
    Duration ttl = Duration.ofSeconds(10);
    try (LiveSubtask live = open(LiveOptions.TTL, ttl, LiveOptions.BLEND, 0.5)) {
      live.harness.setProcessingTime(0);
      live.send(frame("a", 7, 100).build());
      live.settle();
      live.harness.setProcessingTime(9_000);
      live.send(frame("a", 8, 100).build());
      live.settle();
      live.harness.setProcessingTime(18_000);
      assertThat(live.frames().remembered()).isEqualTo(1);
      OperatorSubtaskState state = live.harness.snapshot(1, 1);
      live.harness.setProcessingTime(19_001);
      assertThat(live.frames().remembered()).isZero();

      live.send(frame("a", 0, 100).build());
      live.settle();
      assertThat(live.failures()).isEmpty();
      assertThat(live.images().get(2).getAudit().getInputDigests())
          .doesNotContainKey(FrameBlend.PREVIOUS);

      try (LiveSubtask after =
          new LiveSubtask(upscalers, 1, 0, LiveOptions.TTL, ttl).restore(state)) {
        assertThat(after.frames().remembered()).isEqualTo(1);
        after.harness.setProcessingTime(30_000);
        assertThat(after.frames().remembered()).isZero();
        assertThat(after.harness.numKeyedStateEntries()).isZero();
      }
    }
  }

  @Test
  void aSegmentationHasNoImageToMixFramesWith() throws Exception {
    FakeUpscalers masks =
        new FakeUpscalers(1, DIGEST, true, ClassMap.binary("nothing", "something"));
    try (LiveSubtask live = new LiveSubtask(masks, 1, 0, LiveOptions.BLEND, 0.5).open()) {
      live.send(frame("a", 0, 100).build());
      live.send(frame("a", 1, 100).build());
      live.settle();

      assertThat(ids(live.images(), "a")).containsExactly("a/0");
      assertThat(message(live, "a/1")).contains(LiveOptions.BLEND.key(), "is no image");
    }
  }

  @Test
  void settingsThatMeanNothingAreRefused() {
    assertRefused(LiveOptions.BLEND, 1.0);
    assertRefused(LiveOptions.BLEND, Double.NaN);
    assertRefused(LiveOptions.SIMILARITY, 1.0);
    assertRefused(LiveOptions.SIMILARITY, -0.1);
    assertRefused(LiveOptions.MAX_REPEATS, 0);
    assertRefused(LiveOptions.MAX_STREAMS, 0);
    assertRefused(LiveOptions.TTL, Duration.ZERO);
  }

  private static void assertRefused(ConfigOption<?> option, Object value) {
    assertThatThrownBy(() -> settings(option, value))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining(option.key());
  }
}
