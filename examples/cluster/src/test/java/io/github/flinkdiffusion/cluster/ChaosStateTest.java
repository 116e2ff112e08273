/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a run that was ended finds when it goes on. */
class ChaosStateTest {
  @TempDir private Path folder;

  private ChaosState loaded(long seed) throws IOException {
    ChaosState state = new ChaosState(folder, seed);
    state.load();
    return state;
  }

  @Test
  void aRunThatGoesOnKnowsItsRoundsAndWhereItsJobsAre() throws IOException {
    ChaosState before = loaded(7);
    assertThat(before.rounds()).isZero();
    assertThat(before.id(ChaosJob.IMAGES)).isNull();
    assertThat(before.parallelism(ChaosJob.PROMPTS)).isEqualTo(2);
    before.isSubmitted(ChaosJob.IMAGES, "4711", Path.of("/savepoints/i-4711"));
    before.setParallelism(ChaosJob.PROMPTS, 1);
    before.roundIsDone(3);

    ChaosState after = loaded(7);
    assertThat(after.rounds()).isEqualTo(3);
    assertThat(after.id(ChaosJob.IMAGES)).isEqualTo("4711");
    assertThat(after.savepoints(ChaosJob.IMAGES)).isEqualTo(Path.of("/savepoints/i-4711"));
    assertThat(after.parallelism(ChaosJob.PROMPTS)).isEqualTo(1);
    assertThat(after.parallelism(ChaosJob.IMAGES)).isEqualTo(1);
  }

  @Test
  void aRunWithAnotherSeedIsRefused() throws IOException {
    loaded(7);
    assertThatThrownBy(() -> loaded(8))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("has the seed 7, not 8");
  }

  @Test
  void aSnapshotCountsWhenItIsCompleteAndTheNewestComesFirst() throws IOException {
    assertThat(Snapshots.newest(folder.resolve("missing"), "chk-")).isEmpty();
    for (int i = 1; i <= 3; i++) {
      Path metadata = Files.createDirectories(folder.resolve("chk-" + i)).resolve("_metadata");
      Files.setLastModifiedTime(Files.writeString(metadata, ""), FileTime.fromMillis(1000L * i));
    }
    Files.createDirectories(folder.resolve("chk-4"));
    Files.createDirectories(folder.resolve("shared"));
    assertThat(Snapshots.complete(folder, "chk-"))
        .extracting(path -> path.getFileName().toString())
        .containsExactly("chk-3", "chk-2", "chk-1");
    assertThat(Snapshots.newest(folder, "chk-")).contains(folder.resolve("chk-3"));
  }
}
