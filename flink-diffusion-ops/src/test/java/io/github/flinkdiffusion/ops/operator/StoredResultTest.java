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
import static org.assertj.core.api.Assertions.tuple;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.ops.fakes.FakePipelines;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.OutageAction;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Results above the inline limit, which a store keeps. */
class StoredResultTest extends SubtaskCase {
  private static Object[] storingIn(Path folder) {
    return new Object[] {
      PayloadOptions.STORE,
      folder.toUri().toString(),
      PayloadOptions.INLINE_LIMIT,
      new MemorySize(800)
    };
  }

  @Test
  void aPictureAboveTheInlineLimitIsStoredAndNamed(@TempDir Path folder) throws Exception {
    PromptEvent small = prompt("small", 1);
    small.setWidth(1);
    small.setHeight(1);
    PromptEvent large = prompt("large", 2);
    large.setWidth(32);
    large.setHeight(32);
    try (Subtask subtask = open(storingIn(folder))) {
      subtask.harness.processElement(small, 0);
      subtask.harness.processElement(large, 0);
      subtask.settle(devices);

      ImageEvent inline = subtask.images().get(0);
      assertThat(inline.getImageReference()).isNull();
      assertThat(inline.getImage().array()).isEqualTo(undisturbed(small));
      ImageEvent stored = subtask.images().get(1);
      byte[] png = undisturbed(large);
      assertThat(stored.getImage().remaining()).isZero();
      assertThat(stored.getDigest()).isEqualTo(stored.getImageReference().getSha256());
      assertThat(Files.readAllBytes(Path.of(URI.create(stored.getImageReference().getUri()))))
          .isEqualTo(png);
    }
  }

  @Test
  void aFinishedPictureIsInACheckpointByItsReferenceAlone(@TempDir Path folder) throws Exception {
    OperatorSubtaskState state;
    DiffusionSettings settings = settings(storingIn(folder));
    PromptEvent prompt = prompt("large", 1);
    prompt.setWidth(128);
    prompt.setHeight(128);
    try (Subtask subtask = new Subtask(pipelines, settings, devices.services).open()) {
      subtask.harness.processElement(prompt, 0);
      while (devices.deviceCall() || devices.encodeOne()) {}
      state = subtask.snapshot();
      assertThat(state.getStateSize()).isLessThan(undisturbed(prompt).length / 4);
    }
    FakePipelines unused = new FakePipelines();
    try (Subtask subtask =
        new Subtask(unused, settings, new ManualDevices().services).restore(state)) {
      subtask.deliverAllMail();

      assertThat(unused.last().calls).isEmpty();
      assertThat(subtask.images().get(0).getImageReference().getLength())
          .isEqualTo(undisturbed(prompt).length);
    }
  }

  @Test
  void aStoreThatDoesNotAnswerIsTriedAgainForATimeAndThenFailsTheTask(@TempDir Path folder)
      throws Exception {
    Path file = Files.writeString(folder.resolve("file"), "");
    try (Subtask subtask = open(storingIn(file.resolve("store")))) {
      subtask.harness.processElement(large("a"), 0);
      work(subtask);
      subtask.harness.setProcessingTime(299_000);
      work(subtask);
      assertThat(devices.encodeOne()).as("a thread is occupied").isFalse();
      assertThat(subtask.inFlight()).isOne();

      subtask.harness.setProcessingTime(400_000);
      assertThatThrownBy(() -> work(subtask))
          .isInstanceOf(DiffusionException.class)
          .hasMessageContaining("image of request a could not be encoded or stored");
    }
  }

  @Test
  void aStoreThatIsBackIsUsed(@TempDir Path folder) throws Exception {
    Path file = Files.writeString(folder.resolve("file"), "");
    try (Subtask subtask = open(storingIn(file.resolve("store")))) {
      subtask.harness.processElement(large("a"), 0);
      subtask.harness.processElement(prompt("b", 1), 0); // small, needs no store
      work(subtask);
      assertThat(subtask.imageIds()).containsExactly("b");
      subtask.harness.snapshot(1, 1);

      Files.delete(file);
      subtask.harness.setProcessingTime(1_000);
      work(subtask);
      assertThat(subtask.imageIds()).containsExactly("b", "a");
    }
  }

  @Test
  void anOwnerMayLetTheRequestFailInstead(@TempDir Path folder) throws Exception {
    Path file = Files.writeString(folder.resolve("file"), "");
    List<Object> options = new ArrayList<>(List.of(storingIn(file.resolve("store"))));
    options.addAll(
        List.of(
            DiffusionOptions.OUTAGE_RETRY_TIME,
            Duration.ZERO,
            DiffusionOptions.OUTAGE_ACTION,
            OutageAction.FAIL_REQUEST));
    try (Subtask subtask = open(options.toArray())) {
      subtask.harness.processElement(large("a"), 0);
      work(subtask);

      assertThat(subtask.failures())
          .extracting(FailureEvent::getId, FailureEvent::getReason)
          .containsExactly(tuple("a", FailureReason.PAYLOAD));
    }
  }

  private static PromptEvent large(String id) {
    PromptEvent large = prompt(id, 1);
    large.setWidth(32);
    large.setHeight(32);
    return large;
  }

  private void work(Subtask subtask) throws Exception {
    while (devices.deviceCall() || devices.encodeOne()) {
      subtask.deliverAllMail();
    }
    subtask.deliverAllMail();
  }
}
