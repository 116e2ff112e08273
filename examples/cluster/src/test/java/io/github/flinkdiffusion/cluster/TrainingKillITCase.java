/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.yaml.snakeyaml.Yaml;
import picocli.CommandLine;

/**
 * A training whose TaskManager is killed at random steps, as {@code kill -9} does, equals the
 * undisturbed one. {@code -Dcluster.training.kills} says how often, {@code -Dcluster.training.seed}
 * when.
 */
@Tag("nightly")
@Timeout(1800) // a job that hangs must not hang the build
class TrainingKillITCase {
  private static final Path MODELS =
      Measured.HOME.resolve("flink-diffusion-ops/src/test/resources/fixtures/models");
  private static final int KILLS = Integer.getInteger("cluster.training.kills", 10);
  private static final int STEPS = 40 + 30 * KILLS;
  private static final int SAVE_EVERY = 20;
  private static final Duration PATIENCE = Duration.ofMinutes(20);

  /** Of the recipe's YAML and the command's class, which lib/ does not have. */
  private static List<Path> libraries() throws Exception {
    List<Path> jars = new ArrayList<>();
    for (Class<?> each : List.of(YAMLFactory.class, Yaml.class, CommandLine.class)) {
      jars.add(Path.of(each.getProtectionDomain().getCodeSource().getLocation().toURI()));
    }
    return jars;
  }

  @Test
  void losesNothingByKillsAtRandomSteps() throws Exception {
    Path folder = Path.of("target/training-kill-test").toAbsolutePath();
    try (Measured measured =
        new Measured(
            folder,
            List.of(
                "heartbeat.interval: 200",
                "execution.checkpointing.interval: 500ms",
                "restart-strategy.fixed-delay.delay: 100ms"),
            libraries(),
            "broker",
            "jobmanager",
            "taskmanager-1")) {
      Path undisturbed = start(measured, folder, "undisturbed");
      awaitLine(undisturbed, STEPS);
      Path killed = start(measured, folder, "killed");
      Random random = new Random(Long.getLong("cluster.training.seed", 1));
      List<Integer> kills = new ArrayList<>();
      for (int i = 0; i < KILLS; i++) {
        int step = 20 + 30 * i + random.nextInt(30);
        awaitLine(killed, step);
        measured.cluster().run("kill", "taskmanager-1");
        kills.add(last(killed));
        measured.cluster().run("start", "taskmanager-1");
      }
      awaitLine(killed, STEPS);
      Measured.say("killed after steps %s", kills);

      Map<Integer, List<Double>> expected = losses(undisturbed);
      Map<Integer, List<Double>> found = losses(killed);
      assertThat(expected).hasSize(STEPS);
      assertThat(found.keySet()).isEqualTo(expected.keySet());
      int repeated = 0;
      double greatest = 0;
      for (var step : found.entrySet()) {
        repeated += step.getValue().size() - 1;
        for (double loss : step.getValue()) {
          double wanted = expected.get(step.getKey()).get(0);
          greatest = Math.max(greatest, Math.abs(loss - wanted));
          assertThat(loss).as("step %d", step.getKey()).isCloseTo(wanted, within(1e-6));
        }
      }
      Measured.say("%d steps were made again, greatest difference %g", repeated, greatest);
      // Whoever is killed after a checkpoint makes its steps again.
      assertThat(repeated).isPositive();
      String weights =
          "versions/step-%08d/unet/diffusion_pytorch_model.safetensors"
              .formatted(STEPS / SAVE_EVERY * SAVE_EVERY);
      Measured.until(
          "the last version is there",
          () -> Files.exists(folder.resolve("killed").resolve(weights)));
      assertThat(folder.resolve("killed").resolve(weights))
          .hasSameBinaryContentAs(folder.resolve("undisturbed").resolve(weights));
    }
  }

  /** Returns the file of losses. */
  private static Path start(Measured measured, Path folder, String name) throws IOException {
    Path losses = folder.resolve(name + ".losses");
    Files.deleteIfExists(losses);
    deleteAll(folder.resolve(name));
    Path recipe =
        Files.writeString(
            folder.resolve(name + ".yaml"),
            """
            task: unconditional
            model: %s
            out: %s
            data: {mirrored: true, random_crop: true}
            side: 16
            batch: 1
            accumulation: 2
            steps: %d
            save_every: %d
            dropout: 0.1
            rate: {peak: 1.0e-3, warm_up: 1}
            """
                .formatted(MODELS.resolve("tiny-ddpm"), folder.resolve(name), STEPS, SAVE_EVERY));
    measured.submit(
        TrainingJob.class.getName(),
        List.of(),
        name,
        recipe.toString(),
        losses.toString(),
        Integer.toString(2 * STEPS));
    return losses;
  }

  private static void deleteAll(Path folder) throws IOException {
    if (Files.exists(folder)) {
      try (var files = Files.walk(folder)) {
        for (Path file : files.sorted(java.util.Comparator.reverseOrder()).toList()) {
          Files.delete(file);
        }
      }
    }
  }

  private static void awaitLine(Path losses, int step) throws Exception {
    Measured.until("step " + step + " of " + losses, PATIENCE, () -> last(losses) >= step);
  }

  private static int last(Path losses) throws IOException {
    Map<Integer, List<Double>> seen = losses(losses);
    return seen.isEmpty() ? 0 : ((TreeMap<Integer, List<Double>>) seen).lastKey();
  }

  private static Map<Integer, List<Double>> losses(Path file) throws IOException {
    Map<Integer, List<Double>> losses = new TreeMap<>();
    if (Files.exists(file)) {
      for (String line : Files.readAllLines(file)) {
        String[] parts = line.split(" ");
        losses
            .computeIfAbsent(Integer.parseInt(parts[0]), step -> new ArrayList<>())
            .add(Double.parseDouble(parts[1]));
      }
    }
    return losses;
  }
}
