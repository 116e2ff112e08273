/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * A table of image files whose job's process is killed (kill -9), twice; see {@link
 * ImageFilesProgram}.
 */
@Tag("nightly")
@Timeout(1800) // a job that hangs must not hang the build
class ImageFilesKillITCase {
  /** Files after which a life ends; the last one ends by itself. */
  private static final int[] LIVES = {400, 1_400, Integer.MAX_VALUE};

  @TempDir private Path folder;

  @Test
  void eachRowIsOneFileThoughTheProcessIsKilled() throws Exception {
    for (int life = 0; life < LIVES.length; life++) {
      live(life);
    }

    List<Path> files = files();
    assertThat(files)
        .as("none left out, none twice")
        .extracting(file -> Integer.parseInt(file.getFileName().toString().split("-")[0]))
        .containsExactlyInAnyOrderElementsOf(
            IntStream.range(0, ImageFilesProgram.ROWS).boxed().toList());
    TreeSet<String> lives = new TreeSet<>();
    for (Path file : files) {
      lives.add(Files.readString(file).split(" ")[1]);
    }
    assertThat(lives).as("each life wrote some").containsExactly("0", "1", "2");
  }

  private void live(int life) throws Exception {
    Path log = folder.resolve("log-" + life);
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx512m",
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-cp",
                System.getProperty("java.class.path"),
                ImageFilesProgram.class.getName(),
                folder.toString(),
                Integer.toString(life))
            .redirectErrorStream(true)
            .redirectOutput(log.toFile())
            .start();
    try {
      await()
          .atMost(Duration.ofMinutes(8))
          .pollInterval(Duration.ofMillis(20))
          .until(() -> !process.isAlive() || files().size() > LIVES[life]);
      boolean last = life == LIVES.length - 1;
      assertThat(process.isAlive()).as(Files.readString(log)).isNotEqualTo(last);
    } finally {
      process.destroyForcibly();
    }
    int status = process.waitFor();
    if (life == LIVES.length - 1) {
      assertThat(status).as(Files.readString(log, StandardCharsets.UTF_8)).isZero();
    }
  }

  /** Those that are visible; hidden ones are not committed. */
  private List<Path> files() throws IOException {
    Path out = folder.resolve("out");
    if (!Files.exists(out)) {
      return List.of();
    }
    try (Stream<Path> all = Files.list(out)) {
      return all.filter(file -> !file.getFileName().toString().startsWith(".")).toList();
    }
  }
}
