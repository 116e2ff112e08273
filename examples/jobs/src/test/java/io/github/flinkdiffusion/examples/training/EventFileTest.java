/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Files for TensorBoard. */
class EventFileTest {
  @TempDir private Path folder;

  @Test
  void aTrainingThatGoesOnWithinTheSecondBeginsAnotherFile() throws Exception {
    Clock clock = Clock.fixed(Instant.ofEpochSecond(1_700_000_000), ZoneOffset.UTC);
    for (int step = 1; step <= 2; step++) {
      try (EventFile events = new EventFile(folder, clock)) {
        events.scalar("loss-" + step, step, 0.5f);
      }
    }
    assertThat(EventTags.in(folder)).contains("loss-1", "loss-2");
  }
}
