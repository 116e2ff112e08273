/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Three models in one job with memory for two, one of which is swapped and rolled back under load,
 * in a process that is killed twice; see {@link ServingProgram}.
 */
@Timeout(600) // a job that hangs must not hang the build
class ServingKillITCase {
  private static final Path MODEL = Path.of("src/test/resources/fixtures/models/tiny-lcm");
  private static final List<String> VERSIONS = List.of("v1", "v2", "v3");
  private static final Pattern CHECKPOINT =
      Pattern.compile("checkpoint (\\d+): (\\d+) results, (\\d+) of (\\d+) bytes");

  /** Checkpoints of a life after which it is killed; the last life is not. */
  private static final int[] LIVES = {4, 3, Integer.MAX_VALUE};

  @Test
  void everyRequestIsAnsweredOnceByAModelThatTheResultNamesThoughTheProcessIsKilled(
      @TempDir Path folder) throws Exception {
    Map<String, String> digests = new HashMap<>();
    for (String name : List.of("v1", "v2", "v3", "b", "c")) {
      digests.put(name, copy(folder.resolve("models").resolve(name), digests.size()));
    }
    List<String> output = new ArrayList<>();
    for (int checkpoints : LIVES) {
      live(folder, checkpoints, output);
    }

    List<String[]> lines =
        Files.readAllLines(folder.resolve("results")).stream().map(l -> l.split(" ", 5)).toList();
    assertThat(lines)
        .filteredOn(line -> line[0].equals("failure"))
        .as("the event that names a folder that is not there, once from each of two subtasks")
        .extracting(line -> line[1])
        .containsExactly("missing", "missing");
    List<String[]> images = lines.stream().filter(line -> line[0].equals("image")).toList();
    assertThat(images)
        .extracting(line -> line[1])
        .containsExactlyInAnyOrderElementsOf(
            IntStream.range(0, ServingProgram.REQUESTS).mapToObj(n -> "r" + n).toList());
    for (String[] image : images) {
      int kind = Integer.parseInt(image[1].substring(1)) % 4;
      if (kind < 2) {
        assertThat(VERSIONS).contains(image[2]);
      } else {
        assertThat(image[2]).isEqualTo(kind == 2 ? "b" : "c");
      }
      assertThat(image[3]).as(image[1]).isEqualTo(digests.get(image[2])).isEqualTo(image[4]);
    }
    assertThat(images)
        .extracting(line -> line[2])
        .as("the model before the swaps, and one after a swap")
        .contains("v1")
        .containsAnyOf("v2", "v3");

    int checkpoints = 0;
    for (String line : output) {
      Matcher matcher = CHECKPOINT.matcher(line);
      if (matcher.matches()) {
        checkpoints++;
        assertThat(Long.parseLong(matcher.group(3)))
            .as(line)
            .isLessThanOrEqualTo(Long.parseLong(matcher.group(4)));
      }
    }
    assertThat(checkpoints).isGreaterThanOrEqualTo(LIVES[0] + LIVES[1]);
    assertThat(output)
        .filteredOn(line -> line.startsWith("unloads "))
        .singleElement()
        .satisfies(line -> assertThat(Long.parseLong(line.split(" ")[1])).isPositive());
  }

  /** With other weights each. */
  private static String copy(Path to, int number) throws IOException {
    try (Stream<Path> files = Files.walk(MODEL)) {
      for (Path file : files.toList()) {
        Path target = to.resolve(MODEL.relativize(file).toString());
        if (Files.isDirectory(file)) {
          Files.createDirectories(target);
        } else {
          Files.copy(file, target);
        }
      }
    }
    Path weights = to.resolve("unet/diffusion_pytorch_model.safetensors");
    try (RandomAccessFile file = new RandomAccessFile(weights.toFile(), "rw")) {
      file.seek(file.length() - Float.BYTES);
      file.writeInt(Integer.reverseBytes(Float.floatToIntBits(0.01f * number)));
    }
    return Pipelines.digest(to, PipelineSettings.on(DeviceSpec.CPU));
  }

  private static void live(Path folder, int killAfter, List<String> output) throws Exception {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx512m",
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-Dai.djl.offline=true",
                "-cp",
                System.getProperty("java.class.path"),
                ServingProgram.class.getName(),
                folder.toString())
            .redirectErrorStream(true)
            .start();
    List<String> own = new ArrayList<>();
    boolean killed = false;
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      int checkpoints = 0;
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        own.add(line);
        if (CHECKPOINT.matcher(line).matches() && ++checkpoints == killAfter) {
          // By its handle, which leaves what it has printed readable.
          process.toHandle().destroyForcibly();
          killed = true;
        }
      }
    } finally {
      process.destroyForcibly();
    }
    output.addAll(own);
    if (!killed) {
      assertThat(process.waitFor()).as("%s", String.join("\n", own)).isZero();
    }
    assertThat(killed).as("%s", String.join("\n", own)).isEqualTo(killAfter < Integer.MAX_VALUE);
  }
}
