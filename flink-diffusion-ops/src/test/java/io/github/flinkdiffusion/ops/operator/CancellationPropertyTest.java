/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static io.github.flinkdiffusion.ops.operator.Subtask.undisturbed;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.fakes.FakePipelines;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.ShrinkingMode;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.util.AbstractStreamOperatorTestHarness;

/**
 * A job in miniature with two replayable sources, requests and cancellations, under random
 * interleavings and failures: each request is committed exactly once, as its picture or as
 * cancelled, and one that was cancelled before anybody had read it is never made.
 */
class CancellationPropertyTest {
  private static final int CAPACITY = 6;

  /** How far ahead of what is read requests are sent. */
  private static final int AHEAD = 8;

  @Property(tries = 100, shrinking = ShrinkingMode.BOUNDED)
  void everyRequestIsCommittedExactlyOnceAndCancelledOnesAreNotMade(
      @ForAll @Size(min = 10, max = 200) List<@IntRange(min = 0, max = 99) Integer> choices)
      throws Exception {
    try (Job job = new Job()) {
      for (int i = 0; i < choices.size(); i++) {
        job.act(choices.get(i), i);
      }
      job.finish();
      job.assertComplete();
    }
  }

  private static PromptEvent prompt(int number) {
    return Subtask.prompt("r" + number, 1 + number % 4);
  }

  private record Cancellation(int number, int sentUpTo) {}

  private record Checkpoint(
      OperatorSubtaskState state, int parallelism, int position, int cancellations) {}

  private static final class Job implements AutoCloseable {
    private final DiffusionSettings settings =
        settings(DiffusionOptions.CAPACITY, CAPACITY, DiffusionOptions.BATCH_ROWS, 3);
    private final List<String> committed = new ArrayList<>();
    private final Set<String> committedAsPicture = new HashSet<>();
    private final List<Cancellation> cancellations = new ArrayList<>();
    private final Set<String> cancelledUnread = new HashSet<>();
    private ManualDevices devices;
    private List<CancellableSubtask> subtasks;
    private List<int[]> committedOf;
    private Checkpoint last;
    private int position;
    private int highest;

    Job() throws Exception {
      start(2);
    }

    private void start(int parallelism) throws Exception {
      devices = new ManualDevices();
      subtasks = new ArrayList<>();
      committedOf = new ArrayList<>();
      position = last == null ? 0 : last.position;
      for (int i = 0; i < parallelism; i++) {
        CancellableSubtask subtask =
            new CancellableSubtask(new FakePipelines(), settings, devices, parallelism, i);
        subtasks.add(
            last == null
                ? subtask.open()
                : subtask.restore(
                    AbstractStreamOperatorTestHarness.repartitionOperatorState(
                        last.state, 16, last.parallelism, parallelism, i)));
        committedOf.add(new int[2]);
      }
      int from = last == null ? 0 : last.cancellations;
      cancellations.subList(from, cancellations.size()).forEach(this::deliver);
    }

    void act(int choice, int salt) throws Exception {
      if (choice < 30) {
        read(subtasks.get((choice + salt) % subtasks.size()));
      } else if (choice < 42) {
        cancel((choice * 7 + salt) % (position + AHEAD));
      } else if (choice < 70) {
        devices.deviceCall();
      } else if (choice < 78) {
        devices.encodeOne();
      } else if (choice < 93) {
        subtasks.get((choice + salt) % subtasks.size()).deliverMail();
      } else if (choice < 97) {
        checkpoint();
      } else {
        closeSubtasks();
        start(1 + salt % 3);
      }
    }

    private void read(CancellableSubtask subtask) throws Exception {
      if (subtask.operator().inFlight() >= CAPACITY) {
        // It will wait for room by reading its mail, so there has to be some.
        while (devices.deviceCall() || devices.encodeOne()) {}
      }
      subtask.prompt(prompt(position), position);
      position++;
      highest = Math.max(highest, position);
    }

    private void cancel(int number) {
      Cancellation cancellation = new Cancellation(number, position + AHEAD);
      cancellations.add(cancellation);
      if (number >= highest) {
        cancelledUnread.add("r" + number);
      }
      deliver(cancellation);
    }

    private void deliver(Cancellation cancellation) {
      subtasks.forEach(subtask -> subtask.cancel("r" + cancellation.number, cancellation.sentUpTo));
    }

    private void checkpoint() throws Exception {
      while (devices.encodeOne()) {} // a snapshot waits for these, and they are on this thread
      OperatorSubtaskState[] states = new OperatorSubtaskState[subtasks.size()];
      for (int i = 0; i < states.length; i++) {
        states[i] = subtasks.get(i).harness.snapshot(1, 1);
      }
      last =
          new Checkpoint(
              AbstractStreamOperatorTestHarness.repackageState(states),
              states.length,
              position,
              cancellations.size());
      commit();
    }

    private void commit() {
      for (int i = 0; i < subtasks.size(); i++) {
        int[] before = committedOf.get(i);
        List<ImageEvent> images = subtasks.get(i).images();
        List<FailureEvent> failures = subtasks.get(i).failures();
        for (ImageEvent image : images.subList(before[0], images.size())) {
          committed.add(image.getId());
          committedAsPicture.add(image.getId());
          assertThat(image.getImage().array())
              .isEqualTo(undisturbed(prompt(Integer.parseInt(image.getId().substring(1)))));
        }
        for (FailureEvent failure : failures.subList(before[1], failures.size())) {
          committed.add(failure.getId());
          assertThat(failure.getReason()).isEqualTo(FailureReason.CANCELLED);
        }
        before[0] = images.size();
        before[1] = failures.size();
      }
    }

    void finish() throws Exception {
      for (CancellableSubtask subtask : subtasks) {
        subtask.settle();
      }
      for (CancellableSubtask subtask : subtasks) {
        subtask.settle();
        subtask.cancellable().endInput();
      }
      commit();
    }

    void assertComplete() {
      List<String> expected = new ArrayList<>();
      for (int number = 0; number < position; number++) {
        expected.add("r" + number);
      }
      assertThat(committed).containsExactlyInAnyOrderElementsOf(expected);
      Set<String> cancelled = new HashSet<>();
      cancellations.forEach(each -> cancelled.add("r" + each.number));
      for (String id : committed) {
        assertThat(committedAsPicture.contains(id) || cancelled.contains(id)).as(id).isTrue();
        assertThat(committedAsPicture.contains(id) && cancelledUnread.contains(id))
            .as("%s was cancelled before it was read, and made", id)
            .isFalse();
      }
    }

    private void closeSubtasks() throws Exception {
      for (CancellableSubtask subtask : subtasks) {
        subtask.close();
      }
    }

    @Override
    public void close() throws Exception {
      closeSubtasks();
    }
  }
}
