/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A process whose address space is limited, as {@code ulimit -v} does; see the program. */
@EnabledOnOs(OS.LINUX)
class ShortMemoryITCase {
  private static final long MORE_KIB = 700 << 10;
  private static final int PATIENCE_MINUTES = 5;

  @TempDir private static Path folder;

  /** Address space of a process that makes small images alone. */
  private static long takenKib;

  @BeforeAll
  static void makeSmallImagesAlone() throws Exception {
    assumeThat(Path.of("/usr/bin/prlimit")).exists();
    String probe = run(List.of(), "small");
    int at = probe.indexOf(ShortMemoryProgram.LARGEST);
    takenKib = Long.parseLong(probe.substring(at + ShortMemoryProgram.LARGEST.length()).strip());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "text  | A call of 2 rows of 4194304 pixels takes",
        "image | Encoding the images of 1 requests, up to 4194304 pixels each, takes"
      })
  void aRequestThatDoesNotFitFailsBeforeTheAllocatorEndsTheProcess(String what, String refused)
      throws Exception {
    String log =
        run(List.of("/usr/bin/prlimit", "--as=" + ((takenKib + MORE_KIB) << 10), "--"), what);
    assertThat(log)
        .containsPattern(
            "Request large \\(2048 x 2048 pixels\\) does not fit into the device's memory, even"
                + " alone\\. .*"
                + refused
                + " about \\d+ MiB of native"
                + " memory; \\d+ MiB are available \\(what the process may still take\\)");
  }

  private static String run(List<String> limiter, String what) throws Exception {
    Path log = folder.resolve(what);
    List<String> command = new ArrayList<>(limiter);
    command.addAll(
        List.of(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-Xmx400m",
            "-XX:+UseSerialGC",
            "-Dai.djl.pytorch.num_threads=1",
            "-Dai.djl.pytorch.num_interop_threads=1",
            "-Dai.djl.offline=true",
            "-cp",
            System.getProperty("java.class.path"),
            ShortMemoryProgram.class.getName(),
            what));
    Process process =
        new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile()).start();
    try {
      assertThat(process.waitFor(PATIENCE_MINUTES, TimeUnit.MINUTES)).as("it ends").isTrue();
      assertThat(process.exitValue()).as("%s", Files.readString(log)).isZero();
      return Files.readString(log);
    } finally {
      process.destroyForcibly();
    }
  }
}
