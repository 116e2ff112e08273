/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** However a cluster comes to its end, no process of it is left. */
class LeftoversITCase {
  private static final Duration PATIENCE = Duration.ofMinutes(2);

  @Test
  void aClusterEndsWithTheProcessThatOwnsIt(@TempDir Path folder) throws Exception {
    // Reads until it is killed.
    Process owner = new ProcessBuilder("cat").start();
    try (LocalCluster cluster = new LocalCluster(folder.resolve("c"), owner.pid())) {
      cluster.run("start", LocalCluster.BROKER);
      assertThat(cluster.processes()).anyMatch(line -> line.contains("part=broker"));

      owner.destroyForcibly().waitFor();

      await().atMost(PATIENCE).until(() -> cluster.processes().isEmpty());
    } finally {
      owner.destroyForcibly();
    }
  }

  @Test
  void aStartThatFailsSaysWhyAndStopsWhatItHasStarted(@TempDir Path folder) throws Exception {
    try (LocalCluster cluster =
        new LocalCluster(folder.resolve("c"), ProcessHandle.current().pid())) {
      cluster.run("start", LocalCluster.BROKER);
      cluster.run("stop");
      assertThat(cluster.processes()).isEmpty();
      Files.writeString(
          cluster.folder().resolve("conf/server.properties"),
          "\nprocess.roles=nonsense\n",
          StandardOpenOption.APPEND);

      LocalCluster.Ended start = cluster.tryRun("start");

      assertThat(start.exitCode()).isNotZero();
      assertThat(start.output()).contains("error: broker has ended").contains("nonsense");
      assertThat(cluster.processes()).isEmpty();
    }
  }
}
