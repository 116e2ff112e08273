/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static io.github.flinkdiffusion.ops.operator.Subtask.undisturbed;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.fakes.OpenedBy;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.OutputOrder;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.ShrinkingMode;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.apache.flink.streaming.util.AbstractStreamOperatorTestHarness;

/**
 * A job in miniature, driven by a list of random choices: a replayable source, one to three
 * subtasks on one device, and a sink that commits with checkpoints. Whatever the order in which
 * requests, watermarks, device calls, encodings, mails, checkpoints (also in the middle of a call)
 * and failures come: each request is committed exactly once, as the picture that it gives
 * undisturbed, and nothing crosses a watermark.
 */
class InterleavingsPropertyTest {
  private static final int CAPACITY = 6;
  private static final Map<String, byte[]> UNDISTURBED = new ConcurrentHashMap<>();

  @Property(tries = 150, shrinking = ShrinkingMode.BOUNDED)
  void everyRequestIsCommittedExactlyOnce(
      @ForAll OutputOrder order,
      @ForAll @Size(min = 10, max = 250) List<@IntRange(min = 0, max = 99) Integer> choices)
      throws Exception {
    try (Job job = new Job(order)) {
      for (int i = 0; i < choices.size(); i++) {
        job.act(choices.get(i), i);
      }
      job.finish();
      job.assertComplete();
    }
  }

  @Example
  void aJobThatFailsBeforeItsFirstCheckpointBeginsAnew() throws Exception {
    try (Job job = new Job(OutputOrder.UNORDERED)) {
      for (int choice : new int[] {0, 1, 2, 40, 40, 40, 99, 3, 40, 93, 40, 99}) {
        job.act(choice, choice);
      }
      job.finish();
      job.assertComplete();
    }
  }

  @Example
  void checkpointsInTheMiddleOfEveryCallHoldEachRequestOnce() throws Exception {
    for (int call = 0; call < 8; call++) {
      try (Job job = new Job(OutputOrder.UNORDERED)) {
        for (int request = 0; request < 4; request++) {
          job.act(request, request);
        }
        for (int before = 0; before < call; before++) {
          job.act(40, before);
        }
        job.act(95, 0); // a checkpoint while a call runs
        job.act(40, 0);
        job.act(99, 1); // a failure
        job.act(97, 0); // a checkpoint when a step is made and nobody knows
        job.act(99, 1);
        job.finish();
        job.assertComplete();
      }
    }
  }

  private static PromptEvent prompt(int number) {
    PromptEvent prompt = Subtask.prompt("r" + number, 1 + number % 4);
    prompt.setGuidanceScale(number % 3 == 0 ? 7.5 : 1.0);
    prompt.setWidth(number % 5 == 0 ? 16 : 8);
    prompt.setPriority(number % 7 == 0 ? 1 : 0);
    if (isInvalid(number)) {
      prompt.setSteps(0);
    }
    return prompt;
  }

  private static boolean isInvalid(int number) {
    return number % 11 == 10;
  }

  private static boolean isNotFinite(int number) {
    return number % 13 == 12;
  }

  private static boolean fails(String id) {
    int number = Integer.parseInt(id.substring(1));
    return isInvalid(number) || isNotFinite(number);
  }

  /**
   * Some requests end in NaN, in every attempt.
   *
   * @param beforeCall run when a device call begins
   * @param afterStep run when a step is made and nobody has been told
   */
  private static FakePipeline open(Runnable beforeCall, Runnable afterStep) {
    FakePipeline pipeline = new FakePipeline();
    pipeline.beforeCall = beforeCall;
    pipeline.afterStep = afterStep;
    for (int number = 0; number < 300; number++) {
      if (isNotFinite(number)) {
        pipeline.notFinite.add("r" + number + "@0");
      }
    }
    return pipeline;
  }

  private record Checkpoint(OperatorSubtaskState state, int parallelism, int position) {}

  private static final class Job implements AutoCloseable {
    private final DiffusionSettings settings;
    private final OutputOrder order;
    private final List<ImageEvent> committedImages = new ArrayList<>();
    private final List<FailureEvent> committedFailures = new ArrayList<>();
    private ManualDevices devices;
    private List<Attempt> subtasks = new ArrayList<>();
    private Checkpoint last;
    private int position;

    /** What happens in the middle of the device's next call, and at the end of its next step. */
    private Runnable inNextCall = () -> {};

    private Runnable afterNextStep = () -> {};

    Job(OutputOrder order) throws Exception {
      this.order = order;
      this.settings =
          settings(
              DiffusionOptions.OUTPUT_ORDER, order,
              DiffusionOptions.CAPACITY, CAPACITY,
              DiffusionOptions.BATCH_ROWS, 3);
      start(2);
    }

    private void start(int parallelism) throws Exception {
      devices = new ManualDevices();
      subtasks = new ArrayList<>();
      position = last == null ? 0 : last.position;
      for (int i = 0; i < parallelism; i++) {
        PipelineFactory pipelines = new OpenedBy("fake", () -> open(this::inCall, this::afterStep));
        Subtask subtask = new Subtask(pipelines, settings, devices.services, parallelism, i);
        if (last == null) {
          subtask.open();
        } else {
          subtask.restore(
              AbstractStreamOperatorTestHarness.repartitionOperatorState(
                  last.state, 16, last.parallelism, parallelism, i));
        }
        subtasks.add(new Attempt(subtask));
      }
    }

    void act(int choice, int salt) throws Exception {
      Attempt subtask = subtasks.get((choice + salt) % subtasks.size());
      if (choice < 30) {
        if (position < 250) {
          subtask.take(prompt(position++), devices);
        }
      } else if (choice < 37) {
        subtask.watermark();
      } else if (choice < 39) {
        subtask.toggleIdle();
      } else if (choice < 65) {
        devices.deviceCall();
      } else if (choice < 75) {
        devices.encodeOne();
      } else if (choice < 93) {
        subtask.subtask.deliverMail();
      } else if (choice < 95) {
        checkpoint();
      } else if (choice < 97) {
        inNextCall = this::checkpointUnchecked;
        devices.deviceCall();
        inNextCall = () -> {};
      } else if (choice < 98) {
        afterNextStep = this::checkpointUnchecked;
        devices.deviceCall();
        afterNextStep = () -> {};
      } else {
        fail(1 + salt % 3);
      }
      for (Attempt each : subtasks) {
        each.assertNothingCrossedAWatermark();
      }
    }

    private void inCall() {
      inNextCall.run();
    }

    private void afterStep() {
      afterNextStep.run();
    }

    private void checkpointUnchecked() {
      try {
        checkpoint();
      } catch (Exception e) {
        throw new IllegalStateException("A checkpoint in the middle of a call failed.", e);
      }
    }

    private void checkpoint() throws Exception {
      OperatorSubtaskState[] states = new OperatorSubtaskState[subtasks.size()];
      for (int i = 0; i < states.length; i++) {
        states[i] = subtasks.get(i).subtask.snapshot();
      }
      last =
          new Checkpoint(
              AbstractStreamOperatorTestHarness.repackageState(states), states.length, position);
      commit();
    }

    private void commit() {
      for (Attempt subtask : subtasks) {
        committedImages.addAll(subtask.imagesSinceCommit());
        committedFailures.addAll(subtask.failuresSinceCommit());
      }
    }

    private void fail(int newParallelism) throws Exception {
      closeSubtasks();
      start(newParallelism);
    }

    void finish() throws Exception {
      for (Attempt subtask : subtasks) {
        subtask.watermark();
        subtask.settle(devices);
      }
      for (Attempt subtask : subtasks) {
        subtask.settle(devices);
        subtask.subtask.harness.endInput();
        subtask.assertNothingCrossedAWatermark();
        subtask.assertLastWatermarkIsOut();
        subtask.assertOrder(order);
      }
      commit();
    }

    void assertComplete() {
      List<String> images = committedImages.stream().map(ImageEvent::getId).toList();
      List<String> failures = committedFailures.stream().map(FailureEvent::getId).toList();
      List<String> expectedImages = new ArrayList<>();
      List<String> expectedFailures = new ArrayList<>();
      for (int number = 0; number < position; number++) {
        String id = "r" + number;
        (fails(id) ? expectedFailures : expectedImages).add(id);
      }
      assertThat(images).containsExactlyInAnyOrderElementsOf(expectedImages);
      assertThat(failures).containsExactlyInAnyOrderElementsOf(expectedFailures);
      for (ImageEvent image : committedImages) {
        byte[] expected =
            UNDISTURBED.computeIfAbsent(
                image.getId(), id -> undisturbed(prompt(Integer.parseInt(id.substring(1)))));
        assertThat(image.getImage().array()).as(image.getId()).isEqualTo(expected);
      }
    }

    private void closeSubtasks() throws Exception {
      for (Attempt subtask : subtasks) {
        subtask.subtask.close();
      }
      assertThat(devices.services.models().size()).isZero();
    }

    @Override
    public void close() throws Exception {
      closeSubtasks();
    }
  }

  /** A subtask between two failures, with what went in. */
  private static final class Attempt {
    final Subtask subtask;
    private final List<String> taken = new ArrayList<>();

    /** How many requests were taken before the watermark of each timestamp. */
    private final List<Integer> takenBefore = new ArrayList<>();

    private boolean idle;
    private int committedImages;
    private int committedFailures;

    Attempt(Subtask subtask) {
      this.subtask = subtask;
    }

    void take(PromptEvent prompt, ManualDevices devices) throws Exception {
      if (subtask.inFlight() >= CAPACITY) {
        // It will wait for room by reading its mail, so there has to be some.
        while (devices.deviceCall() || devices.encodeOne()) {}
      }
      subtask.harness.processElement(prompt, 0);
      taken.add(prompt.getId());
    }

    void watermark() throws Exception {
      subtask.harness.processWatermark(takenBefore.size());
      takenBefore.add(taken.size());
    }

    void toggleIdle() throws Exception {
      idle = !idle;
      subtask.harness.processWatermarkStatus(idle ? WatermarkStatus.IDLE : WatermarkStatus.ACTIVE);
    }

    void settle(ManualDevices devices) throws Exception {
      subtask.settle(devices);
    }

    List<ImageEvent> imagesSinceCommit() {
      List<ImageEvent> all = subtask.images();
      List<ImageEvent> since = List.copyOf(all.subList(committedImages, all.size()));
      committedImages = all.size();
      return since;
    }

    List<FailureEvent> failuresSinceCommit() {
      List<FailureEvent> all = subtask.failures();
      List<FailureEvent> since = List.copyOf(all.subList(committedFailures, all.size()));
      committedFailures = all.size();
      return since;
    }

    void assertNothingCrossedAWatermark() {
      Set<String> out = new HashSet<>();
      int before = 0; // requests that were taken before the last watermark that is out
      for (Object output : subtask.harness.getOutput()) {
        if (output instanceof StreamRecord<?> record) {
          String id = ((ImageEvent) record.getValue()).getId();
          out.add(id);
          assertThat(taken.subList(0, before)).as("overtaken by a watermark").doesNotContain(id);
        } else if (output instanceof Watermark watermark) {
          before = takenBefore.get((int) watermark.getTimestamp());
          assertThat(out).as("before %s", watermark).containsAll(takenBefore(before, false));
        }
      }
      assertThat(subtask.failures().stream().map(FailureEvent::getId))
          .containsAll(takenBefore(before, true));
    }

    private List<String> takenBefore(int count, boolean failing) {
      return taken.subList(0, count).stream().filter(id -> fails(id) == failing).toList();
    }

    void assertLastWatermarkIsOut() {
      assertThat(subtask.harness.getOutput()).contains(new Watermark(takenBefore.size() - 1));
    }

    /** Ordered: as they were taken, and what was restored before that. */
    void assertOrder(OutputOrder order) {
      if (order == OutputOrder.ORDERED) {
        List<String> ids = subtask.imageIds();
        List<String> expected = new ArrayList<>(ids);
        expected.removeAll(taken);
        expected.addAll(taken.stream().filter(id -> !fails(id)).toList());
        assertThat(ids).containsExactlyElementsOf(expected);
      }
    }
  }
}
