/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.prompt;
import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static io.github.flinkdiffusion.ops.operator.Subtask.undisturbed;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import io.github.flinkdiffusion.ops.fakes.FakePipelines;
import io.github.flinkdiffusion.ops.serving.DecodingMemory;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.OutputOrder;
import io.github.flinkdiffusion.ops.serving.ProcessServices;
import io.github.flinkdiffusion.ops.serving.StepLedger;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** The operator with the process's own device thread and encoders, as in a task manager. */
@Timeout(60) // a deadlock must not hang the build
class DiffusionOperatorThreadsTest {
  private final FakePipelines pipelines = new FakePipelines();

  private Subtask open(Object... optionsAndValues) throws Exception {
    return new Subtask(pipelines, settings(optionsAndValues), ProcessServices.OF_PROCESS).open();
  }

  @AfterEach
  void noThreadAndNoModelIsLeft() {
    Awaitility.await()
        .untilAsserted(
            () -> {
              assertThat(ProcessServices.OF_PROCESS.models().size()).isZero();
              assertThat(pipelines.opened).allMatch(pipeline -> pipeline.closed);
              assertThat(Thread.getAllStackTraces().keySet())
                  .noneMatch(
                      thread -> thread.isAlive() && thread.getName().startsWith("diffusion-"));
            });
  }

  @ParameterizedTest
  @EnumSource(OutputOrder.class)
  void backPressureKeepsSoManyInFlightAndAllGetDone(OutputOrder order) throws Exception {
    List<Integer> inFlight = new ArrayList<>();
    List<PromptEvent> prompts = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      prompts.add(prompt("r" + i, 1 + i % 5));
    }
    try (Subtask subtask =
        open(DiffusionOptions.CAPACITY, 3, DiffusionOptions.OUTPUT_ORDER, order)) {
      int taken = 0;
      for (PromptEvent prompt : prompts) {
        subtask.harness.processElement(prompt, 0);
        inFlight.add(++taken - subtask.images().size());
      }
      subtask.harness.processWatermark(Watermark.MAX_WATERMARK);
      subtask.harness.endInput();

      assertThat(inFlight).allMatch(count -> count <= 3);
      assertThat(subtask.harness.getOutput()).last().isEqualTo(Watermark.MAX_WATERMARK);
      assertThat(subtask.images()).hasSize(100);
      if (order == OutputOrder.ORDERED) {
        assertThat(subtask.imageIds())
            .containsExactlyElementsOf(prompts.stream().map(PromptEvent::getId).toList());
      }
      for (PromptEvent prompt : prompts) {
        ImageEvent image =
            subtask.images().stream()
                .filter(event -> event.getId().equals(prompt.getId()))
                .findAny()
                .orElseThrow();
        assertThat(image.getImage().array()).isEqualTo(undisturbed(prompt));
      }
    }
  }

  @Test
  void neitherTheTasksThreadNorTheDevicesEncodesPictures() throws Exception {
    try (Subtask subtask = open(DiffusionOptions.ENCODING_WORKERS, 1)) {
      Set<String> callers = ConcurrentHashMap.newKeySet();
      pipelines.last().beforeCall = () -> callers.add(Thread.currentThread().getName());
      subtask.harness.processElement(prompt("a", 2), 0);
      subtask.harness.endInput();

      assertThat(callers).containsExactly("diffusion-device-auto");
      Awaitility.await()
          .untilAsserted(
              () ->
                  assertThat(Thread.getAllStackTraces().keySet())
                      .extracting(Thread::getName)
                      .filteredOn(name -> name.startsWith("diffusion-encode"))
                      .containsExactly("diffusion-encode-0-0"));
      assertThat(subtask.images()).hasSize(1);
    }
  }

  /** Blocks the device in one call; a checkpoint that waited would never come to its end. */
  @ParameterizedTest
  @CsvSource({"start, 0", "step, 0", "step, 2", "finish, 3"})
  void aCheckpointDoesNotWaitForTheDevice(String call, int stepsBefore) throws Exception {
    PromptEvent prompt = prompt("a", 3);
    CountDownLatch inCall = new CountDownLatch(1);
    CountDownLatch mayGoOn = new CountDownLatch(1);
    OperatorSubtaskState state;
    try (Subtask subtask = open()) {
      FakePipeline pipeline = pipelines.last();
      int callsBefore = call.equals("start") ? 0 : 1 + stepsBefore;
      pipeline.beforeCall =
          () -> {
            if (pipeline.calls.size() == callsBefore) {
              inCall.countDown();
              await(mayGoOn);
            }
          };
      subtask.harness.processElement(prompt, 0);
      inCall.await();
      state = subtask.snapshot();

      assertThat(pipeline.calls).as("the call is not over").hasSize(callsBefore);
      mayGoOn.countDown();
    }
    assertRestoredGives(prompt, state);
    assertThat(pipelines.last().calls)
        .startsWith(call.equals("start") ? "start[a]" : "restore[a@" + stepsBefore + "]");
  }

  @Test
  void aCheckpointDoesNotWaitForAPictureThatIsEncodedAndStored() throws Exception {
    PromptEvent prompt = prompt("a", 2);
    CountDownLatch encoding = new CountDownLatch(1);
    CountDownLatch mayGoOn = new CountDownLatch(1);
    ProcessServices slowEncoders =
        new ProcessServices(
            ProcessServices.OF_PROCESS.models(),
            (subtask, threads) -> {
              ExecutorService pool = ProcessServices.OF_PROCESS.encoders().create(subtask, threads);
              pool.execute(
                  () -> {
                    encoding.countDown();
                    await(mayGoOn);
                  });
              return pool;
            },
            new StepLedger(),
            DecodingMemory.ofHeap());
    OperatorSubtaskState state;
    try (Subtask subtask =
        new Subtask(pipelines, settings(DiffusionOptions.ENCODING_WORKERS, 1), slowEncoders)
            .open()) {
      CountDownLatch decoded = new CountDownLatch(1);
      FakePipeline pipeline = pipelines.last();
      pipeline.beforeCall =
          () -> {
            if (pipeline.calls.contains("finish[a]")) {
              decoded.countDown();
            }
          };
      encoding.await();
      subtask.harness.processElement(prompt, 0);
      subtask.harness.processElement(prompt("b", 9), 0); // goes on when "a" is decoded
      decoded.await();
      state = subtask.snapshot();
      mayGoOn.countDown();
    }
    assertRestoredGives(prompt, state);
    assertThat(pipelines.last().calls).anyMatch(call -> call.contains("a@2"));
    assertThat(pipelines.last().calls)
        .noneMatch(call -> call.startsWith("step") && call.contains("a@"));
  }

  private void assertRestoredGives(PromptEvent prompt, OperatorSubtaskState state)
      throws Exception {
    try (Subtask restored =
        new Subtask(pipelines, settings(), ProcessServices.OF_PROCESS).restore(state)) {
      restored.harness.endInput();
      assertThat(restored.images())
          .filteredOn(image -> image.getId().equals(prompt.getId()))
          .singleElement()
          .satisfies(image -> assertThat(image.getImage().array()).isEqualTo(undisturbed(prompt)));
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // the pool is closed
    }
  }

  @Test
  void checkpointsOfABusyDeviceHoldEveryRequest() throws Exception {
    List<OperatorSubtaskState> states = new ArrayList<>();
    List<PromptEvent> prompts = new ArrayList<>();
    int before;
    try (Subtask subtask = open(DiffusionOptions.CAPACITY, 100)) {
      for (int i = 0; i < 60; i++) {
        prompts.add(prompt("r" + i, 1 + i % 40));
        subtask.harness.processElement(prompts.get(i), 0);
        states.add(subtask.snapshot()); // the device is busy all the time
      }
      before = subtask.images().size();
      assertThat(before).isZero(); // nobody read the mail
    }
    try (Subtask restored =
        new Subtask(pipelines, settings(), ProcessServices.OF_PROCESS)
            .restore(states.get(states.size() - 1))) {
      restored.harness.endInput();
      assertThat(restored.imageIds())
          .containsExactlyInAnyOrderElementsOf(prompts.stream().map(PromptEvent::getId).toList());
    }
  }

  @Test
  void closingWhileBusyLeavesNothing() throws Exception {
    CountDownLatch inCall = new CountDownLatch(1);
    Subtask subtask = open();
    pipelines.last().beforeCall = inCall::countDown;
    for (int i = 0; i < 20; i++) {
      subtask.harness.processElement(prompt("r" + i, 1000), 0);
    }
    inCall.await();
    subtask.close();
    Awaitility.await().until(() -> pipelines.last().closed);

    assertThat(pipelines.last().calls).noneMatch(call -> call.startsWith("finish"));
  }

  @Test
  void aTaskEndsWhileTheDeviceAndAnEncoderAreBusyAndTheNextOneWaitsForTheDevice() throws Exception {
    CountDownLatch inCall = new CountDownLatch(1);
    CountDownLatch mayGoOn = new CountDownLatch(1);
    Subtask subtask = open(DiffusionOptions.ENCODING_WORKERS, 1);
    FakePipeline left = pipelines.last();
    left.beforeCall =
        () -> {
          inCall.countDown();
          await(mayGoOn);
        };
    subtask.harness.processElement(prompt("a", 5), 0);
    inCall.await();
    subtask.close(); // would wait for ever

    assertThat(left.closed).isFalse();
    assertThatThrownBy(() -> open(DiffusionOptions.DEVICE_WAIT, Duration.ofMillis(50)))
        .hasStackTraceContaining("is still loaded")
        .hasStackTraceContaining("diffusion.device.wait");
    mayGoOn.countDown();
    try (Subtask next = open()) {
      assertThat(left.closed).isTrue();
      next.harness.processElement(prompt("b", 1), 0);
      next.harness.endInput();
      assertThat(next.imageIds()).containsExactly("b");
    }
  }

  @Test
  void whenTheDeviceFailsATaskThatWaitsForRoomFailsToo() throws Exception {
    try (Subtask subtask = open(DiffusionOptions.CAPACITY, 1)) {
      pipelines.last().deviceErrors.add("a@2");
      subtask.harness.processElement(prompt("a", 3), 0);
      assertThatThrownBy(() -> subtask.harness.processElement(prompt("b", 3), 0))
          .hasStackTraceContaining("The device broke.");
    }
    FakePipeline failed = pipelines.last();
    try (Subtask again = open(DiffusionOptions.CAPACITY, 1)) {
      again.harness.processElement(prompt("a", 3), 0);
      again.harness.endInput();
      assertThat(again.imageIds()).containsExactly("a");
      assertThat(pipelines.last()).isNotSameAs(failed);
    }
  }
}
