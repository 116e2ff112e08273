/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** An image that fits into no heap of a task manager; see {@link LargeImageProgram}. */
class LargeImageITCase {
  private static final int PATIENCE_MINUTES =
      Integer.getInteger("flinkdiffusion.large-side", 0) > 0 ? 120 : 8;

  @Test
  @Tag("nightly")
  void memoryIsThatOfSomeTiles(@TempDir Path folder) throws Exception {
    assertThat(run(LargeImageProgram.class, "1g", folder, 8192, 1, 2))
        .contains("8192 x 8192 x 1 became 16384 x 16384");
  }

  /** {@code -Dflinkdiffusion.large-side=20000} is a whole satellite scene, and takes longer. */
  @Test
  void fourBandsOf16BitsAreDoneWithinHalfAGigabyteOfHeap(@TempDir Path folder) throws Exception {
    int side = Integer.getInteger("flinkdiffusion.large-side", 3000);
    String log = run(LargeImageProgram.class, "512m", folder, side, 4, 1);
    assertThat(log).contains("%d x %d x 4 became".formatted(side, side));
    System.out.println(log.lines().filter(line -> line.contains("became")).findFirst().get());
  }

  /** See {@link DecompressionProgram}. */
  @Test
  void smallFilesOfLargeImagesAreRefusedOrWaitForMemoryAndTheOthersAreDone(@TempDir Path folder)
      throws Exception {
    assertThat(run(DecompressionProgram.class, "512m", folder)).contains("bytes of heap; at most");
  }

  /** See {@link CtSeriesProgram}. */
  @Test
  @Tag("nightly")
  void aSeriesOfFiveHundredSlicesIsOneSegmentationInHalfAGibibyte(@TempDir Path folder)
      throws Exception {
    assertSegmentsASeries("files", folder);
  }

  @Test
  @Tag("nightly")
  void aFileOfFiveHundredFramesIsOneSegmentationInHalfAGibibyte(@TempDir Path folder)
      throws Exception {
    assertSegmentsASeries("frames", folder);
  }

  private static void assertSegmentsASeries(String kind, Path folder) throws Exception {
    assertThat(run(CtSeriesProgram.class, "512m", folder, kind))
        .contains("500 slices of 512 x 512 are one segmentation");
  }

  private static String run(Class<?> program, String heap, Path folder, Object... more)
      throws Exception {
    Path log = folder.resolve("log");
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx" + heap,
                "-XX:+UseSerialGC",
                "-cp",
                System.getProperty("java.class.path"),
                program.getName(),
                folder.toString()));
    Stream.of(more).map(Object::toString).forEach(command::add);
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
