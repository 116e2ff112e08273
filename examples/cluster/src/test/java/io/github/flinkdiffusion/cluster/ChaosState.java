/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Properties;

/**
 * What a run of chaos knows of itself, in a file of its folder: its seed, its rounds, and of each
 * job where it is. Each change is in the file when the call returns.
 */
final class ChaosState {
  private final Path folder;
  private final long seed;
  private final Properties state = new Properties();

  ChaosState(Path folder, long seed) {
    this.folder = folder;
    this.seed = seed;
  }

  /** Takes up what a run before left. */
  void load() throws IOException {
    Path file = folder.resolve("state.properties");
    if (Files.exists(file)) {
      try (var in = Files.newInputStream(file)) {
        state.load(in);
      }
      if (!Long.toString(seed).equals(state.getProperty("seed"))) {
        throw new IOException(
            "The run in %s has the seed %s, not %d: give that one, or another --folder."
                .formatted(folder, state.getProperty("seed"), seed));
      }
    }
    state.setProperty("seed", Long.toString(seed));
    save();
  }

  private void save() throws IOException {
    Path written = folder.resolve("state.properties.new");
    try (var out = Files.newOutputStream(written)) {
      state.store(out, null);
    }
    Files.move(written, folder.resolve("state.properties"), StandardCopyOption.ATOMIC_MOVE);
  }

  /** How many rounds are done, in earlier runs too. */
  int rounds() {
    return Integer.parseInt(state.getProperty("rounds", "0"));
  }

  void roundIsDone(int number) throws IOException {
    state.setProperty("rounds", Integer.toString(number));
    save();
  }

  int parallelism(ChaosJob job) {
    return Integer.parseInt(
        state.getProperty(job + ".parallelism", job == ChaosJob.PROMPTS ? "2" : "1"));
  }

  void setParallelism(ChaosJob job, int parallelism) throws IOException {
    state.setProperty(job + ".parallelism", Integer.toString(parallelism));
    save();
  }

  /** Id of the job that was submitted last; null before the first. */
  String id(ChaosJob job) {
    return state.getProperty(job + ".job");
  }

  /** Where that job's savepoints are. */
  Path savepoints(ChaosJob job) {
    return Path.of(state.getProperty(job + ".savepoints"));
  }

  void isSubmitted(ChaosJob job, String id, Path savepoints) throws IOException {
    state.setProperty(job + ".job", id);
    state.setProperty(job + ".savepoints", savepoints.toString());
    save();
  }
}
