/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.fakes.FakePipelines;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import java.io.DataInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import org.apache.flink.runtime.checkpoint.Checkpoints;
import org.apache.flink.runtime.checkpoint.OperatorState;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.checkpoint.metadata.CheckpointMetadata;
import org.junit.jupiter.api.Test;

/** A savepoint that the first version of the state wrote; its README.md says how it was made. */
class OldestSavepointTest {
  private static final Path SAVEPOINT =
      Path.of("src/test/resources/fixtures/operator-state/savepoint-1/_metadata");

  /** Of the operator's subtask that had requests in flight. */
  private static OperatorSubtaskState state() throws Exception {
    CheckpointMetadata metadata;
    try (DataInputStream in = new DataInputStream(Files.newInputStream(SAVEPOINT))) {
      metadata =
          Checkpoints.loadCheckpointMetadata(
              in, OldestSavepointTest.class.getClassLoader(), SAVEPOINT.toString());
    }
    List<OperatorSubtaskState> states =
        metadata.getOperatorStates().stream()
            .filter(state -> state.getOperatorUid().filter("text-to-image"::equals).isPresent())
            .map(OperatorState::getStates)
            .flatMap(Collection::stream)
            .filter(state -> !state.getManagedOperatorState().isEmpty())
            .toList();
    assertThat(states).isNotEmpty();
    return states.get(0);
  }

  @Test
  void itsRequestsStartAgainAndEndInTheImagesOfAnUndisturbedRun() throws Exception {
    ManualDevices devices = new ManualDevices();
    try (Subtask subtask =
        new Subtask(new FakePipelines(), settings(), devices.services).restore(state())) {
      assertThat(subtask.inFlight()).isEqualTo(2);
      subtask.settle(devices);
      assertThat(subtask.failures()).isEmpty();
      assertThat(subtask.imageIds()).containsExactlyInAnyOrder("long-1", "long-2");
      for (ImageEvent image : subtask.images()) {
        assertThat(image.getSteps()).isEqualTo(200);
        byte[] png = new byte[image.getImage().remaining()];
        image.getImage().duplicate().get(png);
        String prompt = image.getId().equals("long-1") ? "a heart" : "a cat face on yellow";
        assertThat(png)
            .isEqualTo(
                Subtask.undisturbed(
                    PromptEvent.newBuilder()
                        .setId(image.getId())
                        .setPrompt(prompt)
                        .setSteps(200)
                        .setGuidanceScale(2.0)
                        .setScheduler("DDIMScheduler")
                        .build()));
      }
      // 200 steps of two requests in one batch: all were done here, none of the 53 before.
      assertThat(subtask.meters().steps.getCount()).isEqualTo(400);
    }
  }
}
