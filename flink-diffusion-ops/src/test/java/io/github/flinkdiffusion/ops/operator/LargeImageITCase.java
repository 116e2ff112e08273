package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** An image that fits into no heap of a task manager; see {@link LargeImageProgram}. */
class LargeImageITCase {
  private static final int PATIENCE_MINUTES = 8;

  @Test
  void memoryIsThatOfSomeTiles(@TempDir Path folder) throws Exception {
    assertThat(run(LargeImageProgram.class, "1g", folder))
        .contains("8192 x 8192 became 16384 x 16384");
  }

  /** See {@link DecompressionProgram}. */
  @Test
  void smallFilesOfLargeImagesAreRefusedOrWaitForMemoryAndTheOthersAreDone(@TempDir Path folder)
      throws Exception {
    assertThat(run(DecompressionProgram.class, "512m", folder)).contains("bytes of heap; at most");
  }

  private static String run(Class<?> program, String heap, Path folder) throws Exception {
    Path log = folder.resolve("log");
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx" + heap,
                "-XX:+UseSerialGC",
                "-cp",
                System.getProperty("java.class.path"),
                program.getName(),
                folder.toString())
            .redirectErrorStream(true)
            .redirectOutput(log.toFile())
            .start();
    try {
      assertThat(process.waitFor(PATIENCE_MINUTES, TimeUnit.MINUTES)).as("it ends").isTrue();
      assertThat(process.exitValue()).as("%s", Files.readString(log)).isZero();
      return Files.readString(log);
    } finally {
      process.destroyForcibly();
    }
  }
}
