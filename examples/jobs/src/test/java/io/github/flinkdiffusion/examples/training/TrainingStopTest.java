/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** A training whose process is asked to end. */
class TrainingStopTest extends TrainingCase {
  private static final int TERMINATED = 128 + 15;

  @Test
  @DisabledOnOs(OS.WINDOWS)
  void sigtermEndsItAfterAStepThatIsSaved() throws Exception {
    Path config =
        Files.writeString(
            folder.resolve("recipe.yaml"),
            recipe("unconditional", "tiny-ddpm", 1_000_000, "")
                .replace("save_every: 2", "save_every: 1000000")
                .replace("count: 2", "count: 0"));
    Path log = folder.resolve("log");
    Path crash = folder.resolve("crash.log");
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-Dai.djl.pytorch.num_threads=1",
                "-Dai.djl.pytorch.num_interop_threads=1",
                "-Dai.djl.offline=true",
                "-Djava.awt.headless=true",
                "-XX:ErrorFile=" + crash,
                "-cp",
                System.getProperty("java.class.path"),
                TrainCommand.class.getName(),
                "--config",
                config.toAbsolutePath().toString())
            .redirectErrorStream(true)
            .redirectOutput(log.toFile())
            .start();
    try {
      Path events = folder.resolve("out/tensorboard");
      await().atMost(Duration.ofMinutes(2)).until(() -> !process.isAlive() || hasSteps(events));
      process.toHandle().destroy();
      assertThat(process.waitFor(2, TimeUnit.MINUTES)).isTrue();
    } finally {
      process.destroyForcibly();
    }
    String said = Files.readString(log);
    assertThat(process.exitValue()).as(said).isEqualTo(TERMINATED);
    assertThat(said).contains("The training ends after this step.", "run the command again");
    assertThat(crash).doesNotExist();
    String step = said.replaceAll("(?s).*stopped after step ([\\d,.\\h]+) of.*", "$1");
    int steps = Integer.parseInt(step.replaceAll("\\D", ""));
    List<String> losses = Files.readAllLines(folder.resolve("out/loss.csv"));
    assertThat(losses).hasSize(1 + steps);
    assertThat(folder.resolve("out/state/training.json")).content().contains("" + steps);
  }

  /** TensorBoard's file grows with each step. */
  private static boolean hasSteps(Path events) throws IOException {
    if (!Files.isDirectory(events)) {
      return false;
    }
    try (var files = Files.list(events)) {
      for (Path file : files.toList()) {
        if (Files.size(file) > 500) {
          return true;
        }
      }
    }
    return false;
  }
}
