/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ProgressTest {

  private static List<String> lines(int total, int... done) {
    ByteArrayOutputStream written = new ByteArrayOutputStream();
    Progress.Lines progress = new Progress.Lines(total, new PrintStream(written, true));
    IntStream.of(done).forEach(pictures -> progress.at(pictures, 0.5));
    return written.toString().lines().toList();
  }

  @Test
  void withoutATerminalThereIsALineForEveryTenthAndForTheLast() {
    assertThat(lines(200, IntStream.rangeClosed(0, 200).toArray()))
        .hasSize(10)
        .startsWith("20 of 200 done")
        .endsWith("200 of 200 done");
    assertThat(lines(7, 0, 3, 3, 7, 7)).containsExactly("3 of 7 done", "7 of 7 done");
  }
}
