/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.prompt;
import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static io.github.flinkdiffusion.ops.operator.Subtask.undisturbed;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import io.github.flinkdiffusion.ops.fakes.FakePipelines;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.pipeline.ModelInfo;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.AbstractStreamOperatorTestHarness;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a checkpoint holds of requests in flight, and what becomes of them after a restart. */
class CheckpointTest extends SubtaskCase {
  /** Requests of different length and kind, so that a snapshot catches each at another point. */
  private static List<PromptEvent> mixture() {
    List<PromptEvent> prompts = new ArrayList<>();
    for (int i = 0; i < 12; i++) {
      PromptEvent prompt = prompt("r" + i, 1 + (i * 5) % 7);
      prompt.setGuidanceScale(i % 3 == 0 ? 7.5 : 1.0);
      prompt.setWidth(i % 4 == 0 ? 16 : 8);
      prompts.add(prompt);
    }
    return prompts;
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3})
  void whereverItIsSavedAndHoweverManySubtasksRestoreAllPicturesAreEqual(int newParallelism)
      throws Exception {
    List<PromptEvent> prompts = mixture();
    Map<String, byte[]> expected = new HashMap<>();
    prompts.forEach(prompt -> expected.put(prompt.getId(), undisturbed(prompt)));
    int savedMidWay = 0;
    for (int callsBefore = 0; callsBefore <= 24; callsBefore++) {
      ManualDevices before = new ManualDevices();
      List<ImageEvent> images = new ArrayList<>();
      OperatorSubtaskState state;
      try (Subtask subtask =
          new Subtask(
                  new FakePipelines(), settings(DiffusionOptions.BATCH_ROWS, 4), before.services)
              .open()) {
        for (PromptEvent prompt : prompts) {
          subtask.harness.processElement(prompt, 0);
        }
        for (int i = 0; i < callsBefore; i++) {
          before.deviceCall();
        }
        while (before.encodeOne()) {}
        for (int i = 0; i < callsBefore / 6; i++) {
          subtask.deliverMail(); // some results are out, some are finished and still inside
        }
        images.addAll(subtask.images());
        state = subtask.snapshot();
      }
      assertThat(before.services.models().size()).isZero();

      ManualDevices after = new ManualDevices();
      FakePipelines restoring = new FakePipelines();
      for (int i = 0; i < newParallelism; i++) {
        OperatorSubtaskState share =
            AbstractStreamOperatorTestHarness.repartitionOperatorState(
                state, 16, 1, newParallelism, i);
        try (Subtask subtask =
            new Subtask(restoring, settings(), after.services, newParallelism, i).restore(share)) {
          subtask.settle(after);
          images.addAll(subtask.images());
          savedMidWay +=
              (int) restoring.last().calls.stream().filter(c -> c.startsWith("restore")).count();
        }
      }
      assertThat(images).as("after %d calls", callsBefore).hasSize(prompts.size());
      for (ImageEvent image : images) {
        assertThat(image.getImage().array())
            .as("%s after %d calls", image.getId(), callsBefore)
            .isEqualTo(expected.get(image.getId()));
      }
    }
    assertThat(savedMidWay).isPositive();
  }

  @Test
  void aRestoredTrajectoryGoesOnAtItsStepAndAFinishedPictureIsNotMadeAgain() throws Exception {
    OperatorSubtaskState state;
    try (Subtask subtask = open(DiffusionOptions.CAPACITY, 3)) {
      subtask.harness.processElement(prompt("done", 1), 1);
      subtask.harness.processElement(prompt("half", 4), 2);
      devices.deviceCall(); // start
      devices.deviceCall(); // step
      devices.deviceCall(); // decode "done"
      devices.deviceCall(); // step
      while (devices.encodeOne()) {}
      subtask.harness.processElement(prompt("waiting", 2), 3);
      state = subtask.snapshot();
      assertThat(subtask.images()).isEmpty();
    }
    ManualDevices after = new ManualDevices();
    FakePipelines restoring = new FakePipelines();
    try (Subtask subtask = new Subtask(restoring, settings(), after.services).restore(state)) {
      subtask.settle(after);

      assertThat(restoring.last().calls)
          .contains("restore[half@2]", "start[waiting]")
          .doesNotContain("start[done]")
          .noneMatch(call -> call.contains("half@0") || call.contains("half@1"));
      assertThat(subtask.harness.extractOutputStreamRecords())
          .extracting(StreamRecord::getTimestamp)
          .containsExactlyInAnyOrder(1L, 2L, 3L);
    }
  }

  @Test
  void aPictureThatIsNotEncodedYetIsSavedAsItsFinishedTrajectory() throws Exception {
    PromptEvent prompt = prompt("a", 3);
    OperatorSubtaskState state;
    try (Subtask subtask = open()) {
      subtask.harness.processElement(prompt, 7);
      while (devices.deviceCall()) {}
      assertThat(devices.encodings).hasSize(1);
      state = subtask.snapshot();
    }
    ManualDevices after = new ManualDevices();
    FakePipelines restoring = new FakePipelines();
    try (Subtask subtask = new Subtask(restoring, settings(), after.services).restore(state)) {
      subtask.settle(after);

      assertThat(restoring.last().calls).containsExactly("restore[a@3]", "finish[a]");
      assertThat(subtask.images().get(0).getImage().array()).isEqualTo(undisturbed(prompt));
    }
  }

  @Test
  void aCheckpointBeforeTheRestoredRequestsAreTakenUpHoldsThemAll() throws Exception {
    List<PromptEvent> prompts = mixture();
    OperatorSubtaskState state;
    try (Subtask subtask = open(DiffusionOptions.BATCH_ROWS, 4)) {
      for (PromptEvent prompt : prompts) {
        subtask.harness.processElement(prompt, 0);
      }
      for (int call = 0; call < 9; call++) {
        devices.deviceCall();
      }
      state = subtask.snapshot();
    }
    List<OperatorSubtaskState> saved = new ArrayList<>();
    ManualDevices restoring = new ManualDevices();
    FakePipelines pipelines = new FakePipelines();
    try (Subtask subtask = new Subtask(pipelines, settings(), restoring.services)) {
      subtask.harness.initializeState(state);
      saved.add(subtask.snapshot()); // before it is open
      subtask.harness.open();
      saved.add(subtask.snapshot()); // before the device knows
      pipelines.last().beforeCall = () -> saved.add(snapshotOf(subtask)); // while it takes them up
      restoring.deviceCall();
      assertThat(pipelines.last().calls.get(0)).startsWith("restore[");
    }
    assertThat(saved).hasSize(3);
    for (OperatorSubtaskState again : saved) {
      ManualDevices after = new ManualDevices();
      try (Subtask subtask =
          new Subtask(new FakePipelines(), settings(), after.services).restore(again)) {
        subtask.settle(after);
        assertThat(subtask.images()).hasSize(prompts.size());
        for (PromptEvent prompt : prompts) {
          assertThat(subtask.images())
              .filteredOn(image -> image.getId().equals(prompt.getId()))
              .singleElement()
              .satisfies(
                  image -> assertThat(image.getImage().array()).isEqualTo(undisturbed(prompt)));
        }
      }
    }
  }

  private static OperatorSubtaskState snapshotOf(Subtask subtask) {
    try {
      return subtask.snapshot();
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void aTrajectoryOfAnotherModelBeginsAgain() throws Exception {
    OperatorSubtaskState state;
    PromptEvent prompt = prompt("a", 4);
    try (Subtask subtask = open()) {
      subtask.harness.processElement(prompt, 0);
      devices.deviceCall();
      devices.deviceCall();
      devices.deviceCall();
      state = subtask.snapshot();
    }
    ManualDevices after = new ManualDevices();
    FakePipelines changed = new FakePipelines("digest of the next version");
    try (Subtask subtask = new Subtask(changed, settings(), after.services).restore(state)) {
      subtask.settle(after);

      assertThat(changed.last().calls).startsWith("start[a]", "step[a@0]");
      ImageEvent image = subtask.images().get(0);
      assertThat(image.getImage().array())
          .isEqualTo(undisturbed(prompt, new ModelInfo("fake", "digest of the next version")));
      assertThat(image.getModelDigest()).isEqualTo("digest of the next version");
    }
  }

  private static ModelInfo loadedAs(String... namesAndValues) {
    SortedMap<String, String> loadedAs = new TreeMap<>();
    for (int i = 0; i < namesAndValues.length; i += 2) {
      loadedAs.put(namesAndValues[i], namesAndValues[i + 1]);
    }
    return new ModelInfo("fake", FakePipeline.MODEL.digest(), loadedAs);
  }

  /** The steps of a request that was saved at step 2 of 4, on the model that it is restored on. */
  private List<String> callsAfterRestore(ModelInfo before, ModelInfo after) throws Exception {
    PromptEvent prompt = prompt("a", 4);
    ManualDevices saving = new ManualDevices();
    OperatorSubtaskState state;
    try (Subtask subtask =
        new Subtask(new FakePipelines(before), settings(), saving.services).open()) {
      subtask.harness.processElement(prompt, 0);
      saving.deviceCall();
      saving.deviceCall();
      saving.deviceCall();
      state = subtask.snapshot();
    }
    ManualDevices restoring = new ManualDevices();
    FakePipelines pipelines = new FakePipelines(after);
    try (Subtask subtask = new Subtask(pipelines, settings(), restoring.services).restore(state)) {
      subtask.settle(restoring);
      assertThat(subtask.images().get(0).getImage().array()).isEqualTo(undisturbed(prompt, after));
      boolean begunAnew = pipelines.last().calls.get(0).equals("start[a]");
      assertThat(subtask.meters().restartedTrajectories.getCount()).isEqualTo(begunAnew ? 1 : 0);
      assertThat(subtask.meters().restoredTrajectories.getCount()).isEqualTo(begunAnew ? 0 : 1);
    }
    return pipelines.last().calls;
  }

  @Test
  void whatDecidesAnImageIsTheSameForAllItsStepsOrTheyAreMadeAgain() throws Exception {
    ModelInfo single = loadedAs("precision", "FLOAT32");
    assertThat(callsAfterRestore(single, single)).startsWith("restore[a@2]");
    assertThat(callsAfterRestore(single, loadedAs("precision", "BFLOAT16")))
        .startsWith("start[a]", "step[a@0]");
    assertThat(callsAfterRestore(single, loadedAs("precision", "FLOAT32", "loras", "x=0.5")))
        .startsWith("start[a]");
    assertThat(
            callsAfterRestore(
                loadedAs("precision", "FLOAT32", "loras", "x=0.5"),
                loadedAs("precision", "FLOAT32", "loras", "x=0.7")))
        .startsWith("start[a]");
    assertThat(callsAfterRestore(loadedAs(), single))
        .as("of earlier versions' states the digest alone is known")
        .startsWith("restore[a@2]");
  }

  @Test
  void afterAScaleInNothingIsTakenInUntilThereIsRoom() throws Exception {
    OperatorSubtaskState state;
    try (Subtask subtask = open(DiffusionOptions.CAPACITY, 10)) {
      for (int i = 0; i < 10; i++) {
        subtask.harness.processElement(prompt("r" + i, 2), i);
      }
      state = subtask.snapshot();
    }
    ManualDevices after = new ManualDevices();
    try (Subtask subtask =
        new Subtask(new FakePipelines(), settings(DiffusionOptions.CAPACITY, 4), after.services)
            .restore(state)) {
      // Work off the results without delivering them: the mail is read by processElement itself.
      while (after.deviceCall() || after.encodeOne()) {}
      assertThat(subtask.images()).isEmpty();
      subtask.harness.processElement(prompt("next", 2), 10);

      assertThat(subtask.images()).hasSizeGreaterThanOrEqualTo(7);
    }
  }

  @Test
  void restoredResultsAreSavedAgainBeforeTheyAreOut() throws Exception {
    OperatorSubtaskState state;
    try (Subtask subtask = open()) {
      subtask.harness.processElement(prompt("a", 1), 0);
      subtask.harness.processElement(prompt(" ", 0), 0);
      while (devices.deviceCall() || devices.encodeOne()) {}
      state = subtask.snapshot();
    }
    for (int i = 0; i < 2; i++) {
      try (Subtask subtask =
          new Subtask(new FakePipelines(), settings(), new ManualDevices().services)
              .restore(state)) {
        state = subtask.snapshot();
      }
    }
    FakePipelines unused = new FakePipelines();
    try (Subtask subtask =
        new Subtask(unused, settings(), new ManualDevices().services).restore(state)) {
      subtask.deliverAllMail();
      assertThat(subtask.imageIds()).containsExactly("a");
      assertThat(subtask.failures()).hasSize(1);
      assertThat(unused.last().calls).isEmpty();
    }
  }

  @Test
  void whatIsOutIsInNoLaterCheckpoint() throws Exception {
    OperatorSubtaskState state;
    try (Subtask subtask = open()) {
      subtask.harness.processElement(prompt("a", 1), 0);
      subtask.settle(devices);
      assertThat(subtask.images()).hasSize(1);
      state = subtask.snapshot();
    }
    try (Subtask subtask =
        new Subtask(new FakePipelines(), settings(), new ManualDevices().services).restore(state)) {
      subtask.deliverAllMail();
      assertThat(subtask.images()).isEmpty();
    }
  }
}
