/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Ctrl-C while the demo runs: the process that a user starts, and the signal that a shell sends.
 */
class InterruptedDemoITCase {
  private static final String MODEL =
      "../../flink-diffusion-ops/src/test/resources/fixtures/models/tiny-sd1";

  @TempDir private Path folder;

  @Test
  void leavesNothingInTheTemporaryFolder() throws Exception {
    Path temporary = Files.createDirectory(folder.resolve("tmp"));
    Path scratch = Files.createDirectory(temporary.resolve("flink-diffusion-1"));
    Process demo =
        // A shell that starts this in the background has its children ignore the signal.
        new ProcessBuilder(
                "env",
                "--default-signal=INT",
                ProcessHandle.current().info().command().orElseThrow(),
                "-Xmx1g",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                // As the launcher starts it.
                "-Djava.io.tmpdir=" + scratch,
                "-D" + Scratch.PROPERTY + "=" + scratch,
                "-Dai.djl.offline=true",
                "-cp",
                System.getProperty("java.class.path"),
                TextToImageDemo.class.getName(),
                "--model",
                MODEL,
                "--device",
                "cpu",
                "--out",
                folder.resolve("out").toString(),
                "--steps",
                "20",
                "--count",
                "400",
                "-Dexecution.checkpointing.interval=100 ms",
                "a cat")
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    try (BufferedReader err =
        new BufferedReader(new InputStreamReader(demo.getErrorStream(), StandardCharsets.UTF_8))) {
      assertThat(err.readLine()).startsWith("400 images with tiny-sd1");
      // A line tells how far it is: broker, cluster, job and model are there.
      assertThat(err.readLine()).as("progress").isNotNull();
      assertThat(scratch).isNotEmptyDirectory();

      new ProcessBuilder("kill", "-INT", Long.toString(demo.pid())).start().waitFor();

      List<String> rest = err.lines().toList();
      assertThat(demo.waitFor(60, TimeUnit.SECONDS)).as("%s", rest).isTrue();
      assertThat(demo.exitValue()).isEqualTo(130);
      assertThat(rest).isNotEmpty().allMatch(line -> line.matches(".*(done|Interrupted\\.)"));
      assertThat(temporary).isEmptyDirectory();
    } finally {
      demo.destroyForcibly();
    }
  }
}
