/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.training.Training;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LossLogTest {
  @TempDir private Path folder;

  /** The state is of step 2; what was written of later steps, in part, is made again. */
  @Test
  void stepsThatAKilledProcessMadeAfterItsLastStateAreDropped() throws Exception {
    Path csv = folder.resolve("loss.csv");
    Files.writeString(
        csv, "step,loss,gradient_norm,rate\n1,0.5,1.5,0.1\n2,0.25,1.0E-4,0.2\n3,9.0,1.0,0.3\n4,0.");
    try (LossLog log = new LossLog(folder, 2)) {
      log.add(new Training.Step(3, 0.125f, 2, 0.3));
      log.save();
    }
    assertThat(Files.readAllLines(csv))
        .containsExactly(
            "step,loss,gradient_norm,rate",
            "1,0.5,1.5,0.1",
            "2,0.25,1.0E-4,0.2",
            "3,0.125,2.0,0.3");
    assertThat(folder.resolve("loss.png")).isNotEmptyFile();
  }

  @Test
  void stepsThatASpikeUndidAreDropped() throws Exception {
    try (LossLog log = new LossLog(folder, 0)) {
      for (int step = 1; step <= 4; step++) {
        log.add(new Training.Step(step, step, 1, 0.1));
      }
      log.backTo(2);
      log.add(new Training.Step(3, 7, 1, 0.1));
    }
    assertThat(Files.readAllLines(folder.resolve("loss.csv")))
        .hasSize(1 + 3)
        .last()
        .isEqualTo("3,7.0,1.0,0.1");
  }
}
