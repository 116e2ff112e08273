/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * Three rounds of what {@code examples/cluster/chaos} makes many of. {@link KillITCase} kills
 * TaskManagers and the broker; here a standby JobManager has to take over, a checkpoint folder is
 * gone and a job is started again with another parallelism.
 */
class ChaosITCase {
  @Test
  void nothingIsLostTwiceOrDifferentThoughTheLeaderDiesTheCheckpointsAreGoneAndAJobIsRescaled()
      throws Exception {
    // Not a temporary folder: whoever looks into a failure wants the logs.
    Path folder = Path.of("target/chaos-test");

    int exitCode =
        Chaos.commandLine(new Chaos())
            .execute(
                "--fresh",
                "--rounds=3",
                "--seed=7",
                "--folder=" + folder,
                "--faults=kill-jobmanager,checkpoints-gone,rescale");

    assertThat(exitCode).isZero();
    List<String> rounds = Files.readAllLines(folder.resolve("rounds.txt"));
    assertThat(rounds).hasSize(3);
    LocalCluster cluster =
        new LocalCluster(folder.resolve("cluster"), ProcessHandle.current().pid());
    assertThat(cluster.processes()).isEmpty();
  }
}
