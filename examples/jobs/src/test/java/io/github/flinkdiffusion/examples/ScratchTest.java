/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The folder that the launcher makes, at the end of each command. */
class ScratchTest {
  private static final Path EXAMPLES = Path.of("..");
  private static final Pattern MAIN = Pattern.compile("FLINK_DIFFUSION_MAIN=([\\w.]+)");

  @TempDir private Path folder;

  /** The main class of each command that examples/run launches. */
  static Stream<String> commands() throws IOException {
    List<Path> scripts;
    try (Stream<Path> files = Files.list(EXAMPLES)) {
      scripts =
          files
              .filter(Files::isRegularFile)
              .filter(file -> !file.getFileName().toString().equals("run"))
              .sorted()
              .toList();
    }
    Stream.Builder<String> mains = Stream.builder();
    mains.add(TextToImageDemo.class.getName());
    for (Path script : scripts) {
      Matcher main = MAIN.matcher(Files.readString(script));
      if (main.find()) {
        mains.add(main.group(1));
      }
    }
    return mains.build();
  }

  @ParameterizedTest
  @MethodSource("commands")
  void isGoneWhenACommandHasEnded(String main) throws Exception {
    Path scratch = Files.createDirectory(folder.resolve("flink-diffusion-1"));
    Files.createFile(Files.createDirectory(scratch.resolve("unpacked")).resolve("library.so"));
    Path output = folder.resolve("output");
    Process command =
        new ProcessBuilder(
                ProcessHandle.current().info().command().orElseThrow(),
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                // As the launcher starts it.
                "-Djava.io.tmpdir=" + scratch,
                "-D" + Scratch.PROPERTY + "=" + scratch,
                "-cp",
                System.getProperty("java.class.path"),
                main,
                "--help")
            .redirectErrorStream(true)
            .redirectOutput(output.toFile())
            .start();
    try {
      assertThat(command.waitFor(60, TimeUnit.SECONDS)).isTrue();
      assertThat(command.exitValue()).as(Files.readString(output)).isZero();
      assertThat(Files.readString(output)).containsIgnoringCase("usage");
      assertThat(scratch).doesNotExist();
    } finally {
      command.destroyForcibly();
    }
  }
}
