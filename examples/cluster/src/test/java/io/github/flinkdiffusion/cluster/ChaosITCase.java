/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * A few rounds of what {@code examples/cluster/chaos} makes many of: a standby JobManager has to
 * take over, the broker is killed, the checkpoint folder is gone, and a job is started again with
 * another parallelism. {@link ProcessDeathITCase} ends TaskManagers in every build.
 */
@Tag("nightly")
class ChaosITCase {
  @Test
  void nothingIsLostTwiceOrDifferentThoughTheLeaderAndTheBrokerDie() throws Exception {
    survives("target/chaos-test", "kill-jobmanager", "kill-broker");
  }

  @Test
  void nothingIsLostTwiceOrDifferentThoughTheLeaderDiesTheCheckpointsAreGoneAndAJobIsRescaled()
      throws Exception {
    survives("target/chaos-nightly-test", "kill-jobmanager", "checkpoints-gone", "rescale");
  }

  /**
   * @param name a folder that stays: whoever looks into a failure wants the logs
   * @param faults one round each
   */
  private static void survives(String name, String... faults) throws Exception {
    Path folder = Path.of(name);

    int exitCode =
        Chaos.commandLine(new Chaos())
            .execute(
                "--fresh",
                "--rounds=" + faults.length,
                "--seed=7",
                "--folder=" + folder,
                "--faults=" + String.join(",", faults));

    assertThat(exitCode).isZero();
    List<String> rounds = Files.readAllLines(folder.resolve("rounds.txt"));
    assertThat(rounds).hasSize(faults.length);
    LocalCluster cluster =
        new LocalCluster(folder.resolve("cluster"), ProcessHandle.current().pid());
    assertThat(cluster.processes()).isEmpty();
  }
}
