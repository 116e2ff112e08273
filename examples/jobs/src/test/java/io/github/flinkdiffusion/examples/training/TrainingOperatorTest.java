/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.ModelEvent;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A training in a stream: what it emits, and that it goes on after a failure as if undisturbed. */
@Timeout(120) // an operator that waits for its turn must not wait for ever
class TrainingOperatorTest {
  private static final Path MODELS =
      Path.of("../../flink-diffusion-ops/src/test/resources/fixtures/models");

  private static final int EXAMPLES = 40;
  private static final int KILLS = 10;

  @TempDir private Path folder;

  private OneInputStreamOperatorTestHarness<ExampleEvent, ModelEvent> harness(String out)
      throws Exception {
    String recipe =
        """
        task: unconditional
        model: %s
        out: %s
        data: {mirrored: true, random_crop: true}
        side: 16
        batch: 1
        accumulation: 2
        steps: 20
        save_every: 5
        dropout: 0.1
        rate: {peak: 1.0e-3, warm_up: 1}
        """
            .formatted(MODELS.resolve("tiny-ddpm").toAbsolutePath(), folder.resolve(out));
    Path file = Files.writeString(folder.resolve(out + ".yaml"), recipe, StandardCharsets.UTF_8);
    return new OneInputStreamOperatorTestHarness<>(
        new TrainingOperator(file.toString(), "emoji"), 1, 1, 0);
  }

  private static ExampleEvent example(int number) {
    Raster image = Raster.filled(3, 20, 24, (number % 7) / 7f);
    return new ExampleEvent("e" + number, Images.write(image, "image/png"), "", new byte[0]);
  }

  private static List<String> losses(
      OneInputStreamOperatorTestHarness<ExampleEvent, ModelEvent> harness) {
    var queue = harness.getSideOutput(TrainingStreams.LOSSES);
    return queue == null ? List.of() : queue.stream().map(StreamRecord::getValue).toList();
  }

  @Test
  void aTrainingThatFailedTenTimesEqualsTheUndisturbedOne() throws Exception {
    List<String> expected;
    List<ModelEvent> versions;
    try (var harness = harness("undisturbed")) {
      harness.open();
      for (int i = 0; i < EXAMPLES; i++) {
        harness.processElement(example(i), i);
      }
      harness.endInput();
      expected = losses(harness);
      versions = harness.extractOutputValues();
    }
    assertThat(expected).hasSize(EXAMPLES / 2);
    assertThat(versions)
        .extracting(ModelEvent::getId)
        .containsExactly(
            "emoji-step-00000005",
            "emoji-step-00000010",
            "emoji-step-00000015",
            "emoji-step-00000020");
    for (ModelEvent version : versions) {
      assertThat(Path.of(version.getFolder()).resolve("unet")).isNotEmptyDirectory();
    }

    Random random = new Random(5);
    Map<String, String> seen = new LinkedHashMap<>();
    OperatorSubtaskState saved = null;
    int from = 0;
    for (int kill = 0; kill <= KILLS; kill++) {
      try (var harness = harness("killed")) {
        harness.setup();
        if (saved != null) {
          harness.initializeState(saved);
        }
        harness.open();
        int last = kill == KILLS ? EXAMPLES : Math.min(EXAMPLES, from + 2 + random.nextInt(7));
        int checkpoint = kill == KILLS ? -1 : from + 1 + random.nextInt(3);
        for (int i = from; i < last; i++) {
          harness.processElement(example(i), i);
          if (i + 1 == checkpoint) {
            saved = harness.snapshot(kill, i);
            harness.notifyOfCompletedCheckpoint(kill);
            from = checkpoint;
          }
        }
        // What was trained after the checkpoint is lost, and has to come again as it was.
        for (String line : losses(harness)) {
          String[] parts = line.split(" ");
          String before = seen.put(parts[0], parts[1]);
          assertThat(before).as("step %s", parts[0]).isIn(null, parts[1]);
        }
      }
    }
    List<String> lines = new ArrayList<>();
    seen.forEach((step, loss) -> lines.add(step + " " + loss));
    assertThat(lines).containsExactlyElementsOf(expected);
    for (ModelEvent version : versions) {
      String weights = "unet/diffusion_pytorch_model.safetensors";
      Path there = folder.resolve("killed/versions").resolve(version.getVersion());
      assertThat(there.resolve(weights))
          .hasSameBinaryContentAs(Path.of(version.getFolder()).resolve(weights));
    }
    try (var states = Files.list(folder.resolve("killed/state"))) {
      assertThat(states.count()).isLessThanOrEqualTo(3 + 1);
    }
  }

  @Test
  void whatIsNoImageIsRejectedAndTheNextExampleTakesItsPlace() throws Exception {
    try (var harness = harness("rejects")) {
      harness.open();
      harness.processElement(example(0), 0);
      harness.processElement(new ExampleEvent("bad", new byte[] {1, 2, 3}, "", new byte[0]), 1);
      assertThat(losses(harness)).isEmpty();
      harness.processElement(example(1), 2);
      assertThat(losses(harness)).hasSize(1);
      assertThat(harness.getSideOutput(TrainingStreams.REJECTED))
          .singleElement()
          .extracting(StreamRecord::getValue)
          .asString()
          .startsWith("bad: ");
    }
  }

  @Test
  void anExampleWithoutTheSecondImageOfAPairIsRejected() {
    StreamWindow window = new StreamWindow(2, Recipe.Task.CONTROLNET.pairs());
    byte[] image = example(0).image;
    assertThatThrownBy(() -> window.add(example(0))).hasMessageContaining("no second image");
    window.add(new ExampleEvent("pair", image, "", image));
    assertThat(window.events()).hasSize(1);
  }

  @Test
  void aSecondTrainingWaitsUntilTheFirstHasEnded() throws Exception {
    CompletableFuture<Void> second;
    try (var first = harness("first");
        var other = harness("second")) {
      first.open();
      second =
          CompletableFuture.runAsync(
              () -> {
                try {
                  other.open();
                } catch (Exception e) {
                  throw new IllegalStateException(e);
                }
              });
      while (!TrainingTurn.isAwaited()) {
        Thread.onSpinWait();
      }
      assertThat(second).isNotDone();
      first.processElement(example(0), 0);
      first.close();
      second.get(60, TimeUnit.SECONDS);
    }
  }
}
