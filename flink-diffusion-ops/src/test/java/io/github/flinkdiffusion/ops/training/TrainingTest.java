/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TrainingTest {
  /** 10 nightly. */
  private static final int KILLS = Integer.getInteger("training.kills", 3);

  @TempDir private Path folder;

  /**
   * Each life is killed at a step drawn at random, wherever it is by then: computing, or saving.
   * What a step is printed with last must be what the undisturbed training has there.
   */
  @Test
  void killedAtRandomStepsEqualsTheUndisturbedTraining() throws Exception {
    Path undisturbed = folder.resolve("undisturbed");
    Map<Integer, Float> expected = new HashMap<>();
    assertThat(live(undisturbed, expected, Integer.MAX_VALUE)).isZero();
    assertThat(expected).hasSize(SmallTraining.STEPS);

    Path disturbed = folder.resolve("disturbed");
    Map<Integer, Float> losses = new HashMap<>();
    Random random = new Random(20261129);
    for (int kill = 1; kill <= KILLS; kill++) {
      int lastStep = (kill - 1) * SmallTraining.STEPS / (KILLS + 1) + 1 + random.nextInt(10);
      assertThat(live(disturbed, losses, lastStep)).as("life %d was killed", kill).isNotZero();
    }
    assertThat(live(disturbed, losses, Integer.MAX_VALUE)).isZero();
    assertThat(losses).isEqualTo(expected);
    assertThat(state(disturbed)).isEqualTo(state(undisturbed));
  }

  /**
   * One life of the program.
   *
   * @param killAt step after which it is killed
   * @return its exit status
   */
  private static int live(Path folder, Map<Integer, Float> losses, int killAt) throws Exception {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-Dai.djl.pytorch.num_threads=1",
                "-Dai.djl.pytorch.num_interop_threads=1",
                "-Dai.djl.offline=true",
                "-cp",
                System.getProperty("java.class.path"),
                SmallTraining.class.getName(),
                folder.toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        String[] parts = line.split(" ");
        if (parts.length == 2 && parts[0].matches("\\d+")) {
          losses.put(Integer.parseInt(parts[0]), Float.parseFloat(parts[1]));
          if (Integer.parseInt(parts[0]) >= killAt) {
            // By its handle, which leaves what it has printed readable.
            process.toHandle().destroyForcibly();
            killAt = Integer.MAX_VALUE;
          }
        }
      }
    } finally {
      process.destroyForcibly();
    }
    return process.waitFor();
  }

  /** The bytes of the saved state, which is one file beside training.json. */
  private static byte[] state(Path folder) throws IOException {
    try (var files = Files.list(folder)) {
      List<Path> states = files.filter(file -> file.toString().endsWith(".safetensors")).toList();
      assertThat(states).hasSize(1);
      return Files.readAllBytes(states.get(0));
    }
  }

  /** Between two of its saves, which are every 3 steps. */
  @Test
  void stoppedBetweenSavesItGoesOnAsAnUndisturbedOne() throws Exception {
    Path undisturbed = folder.resolve("undisturbed");
    try (TrainableNetwork network = SmallTraining.network()) {
      SmallTraining.open(network, undisturbed, SmallTraining::batch, 12)
          .run(new Training.Listener() {});
    }
    Path stopped = folder.resolve("stopped");
    try (TrainableNetwork network = SmallTraining.network()) {
      Training training = SmallTraining.open(network, stopped, SmallTraining::batch, 12);
      assertThat(training.run(new Training.Listener() {}, () -> training.step() == 7)).isFalse();
    }
    try (TrainableNetwork network = SmallTraining.network()) {
      Training training = SmallTraining.open(network, stopped, SmallTraining::batch, 12);
      assertThat(training.step()).isEqualTo(7);
      assertThat(training.run(new Training.Listener() {}, () -> false)).isTrue();
    }
    assertThat(state(stopped)).isEqualTo(state(undisturbed));
  }

  @Test
  void aSpikeLeadsBackToTheSavedStateAndItsBatchesAreSkipped() {
    List<String> returns = new ArrayList<>();
    List<Float> losses = new ArrayList<>();
    try (TrainableNetwork network = SmallTraining.network()) {
      SmallTraining.open(network, folder, position -> spoiled(position, 16), 12)
          .run(
              new Training.Listener() {
                @Override
                public void stepped(Training.Step step) {
                  losses.add(step.loss());
                }

                @Override
                public void returned(int from, int to, String reason) {
                  returns.add(from + " to " + to + ": " + reason);
                }
              });
    }
    // Batches 16 and 17 are those of step 9; the state is that of step 6.
    assertThat(returns).containsExactly("9 to 6: the loss is NaN");
    assertThat(losses).hasSize(8 + 6).allMatch(Float::isFinite);
  }

  @Test
  void aLossFarAboveThoseBeforeItIsASpike() {
    LossSpikes spikes = new LossSpikes(10, 10, 1, 2);
    List<Float> before = List.of();
    for (int i = 0; i < 30; i++) {
      float loss = 1 + 0.1f * (i % 2);
      assertThat(spikes.reason(before, loss, 1)).isEmpty();
      before = spikes.with(before, loss);
    }
    assertThat(before).hasSize(10);
    assertThat(spikes.reason(before, 1.5f, 1)).isEmpty();
    assertThat(spikes.reason(before, 1.7f, 1).orElseThrow()).contains("1.7").contains("1.05");
    assertThat(spikes.reason(before, 1, Double.NaN).orElseThrow()).contains("norm");
    assertThat(spikes.reason(List.of(1f), 1000, 1)).isEmpty();
  }

  @Test
  void aTrainingThatSpikesAgainAndAgainEnds() {
    try (TrainableNetwork network = SmallTraining.network()) {
      Training training =
          SmallTraining.open(network, folder, position -> spoiled(position, position), 12);
      assertThatThrownBy(() -> training.run(new Training.Listener() {}))
          .isInstanceOf(EngineException.class)
          .hasMessageContaining("At step 1 the loss is NaN, after 2 returns in a row")
          .hasMessageContaining("lower the learning rate");
    }
  }

  /** By 8 % a step, which no single loss shows. */
  @Test
  void aTrainingWhoseLossRisesSlowlyEnds() {
    List<String> returns = new ArrayList<>();
    try (TrainableNetwork network = SmallTraining.network()) {
      Training training =
          SmallTraining.open(network, folder, position -> louder(position, 50), 100);
      assertThatThrownBy(
              () ->
                  training.run(
                      new Training.Listener() {
                        @Override
                        public void returned(int from, int to, String reason) {
                          returns.add(reason);
                        }
                      }))
          .isInstanceOf(EngineException.class)
          .hasMessageContaining("the loss has risen: the last 10 have a median of")
          .hasMessageContaining("after 2 returns in a row");
    }
    assertThat(returns).isNotEmpty().allMatch(reason -> reason.startsWith("the loss has risen"));
  }

  /** Noise that the network is to find, with more and more of it from a position on. */
  private static HostTensor[] louder(long position, long from) {
    HostTensor[] inputs = SmallTraining.batch(position);
    float[] noise = ((HostTensor.Floats) inputs[1]).data();
    for (int i = 0; i < noise.length; i++) {
      noise[i] *= (float) Math.pow(1.02, Math.max(0, position - from));
    }
    return inputs;
  }

  private static HostTensor[] spoiled(long position, long at) {
    HostTensor[] inputs = SmallTraining.batch(position);
    if (position == at) {
      ((HostTensor.Floats) inputs[0]).data()[0] = Float.NaN;
    }
    return inputs;
  }

  @Test
  void aStateOfAnEarlierVersionIsTakenUp() {
    Path file = folder.resolve("earlier.safetensors");
    try (TrainableNetwork network = SmallTraining.network()) {
      SmallTraining.open(network, folder.resolve("a"), SmallTraining::batch, 7)
          .run(new Training.Listener() {});
      TrainingCheckpoint.write(file, network.state());
    }
    new TrainingFolder(folder.resolve("b")).adopt(file);
    try (TrainableNetwork network = SmallTraining.network()) {
      assertThat(SmallTraining.open(network, folder.resolve("b"), SmallTraining::batch, 9).step())
          .isEqualTo(7);
    }
  }

  /** The process may have been killed between saving and writing what was trained. */
  @Test
  void aTrainingThatWasDoneIsSavedOnceMore() {
    List<Integer> saved = new ArrayList<>();
    for (int life = 0; life < 2; life++) {
      try (TrainableNetwork network = SmallTraining.network()) {
        SmallTraining.open(network, folder, SmallTraining::batch, 7)
            .run(
                new Training.Listener() {
                  @Override
                  public void saved(int step) {
                    saved.add(step);
                  }
                });
      }
    }
    assertThat(saved).containsExactly(3, 6, 7, 7);
  }

  @Test
  void progressThatIsNoJsonIsRefusedByName() throws Exception {
    Files.writeString(folder.resolve("training.json"), "{");
    assertThatThrownBy(() -> new TrainingFolder(folder).open())
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("training.json")
        .hasMessageContaining("not valid JSON");
  }

  @Test
  void progressThatNamesAFileElsewhereIsRefused() throws Exception {
    Files.writeString(
        folder.resolve("training.json"),
        "{\"format\": 1, \"state\": \"state-" + File.separator + "..\"}");
    assertThatThrownBy(() -> new TrainingFolder(folder).open())
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("names the state");
  }
}
