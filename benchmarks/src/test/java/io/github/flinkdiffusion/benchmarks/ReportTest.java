/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A sample result becomes a file, the file a page. */
class ReportTest {
  @TempDir private Path folder;

  private static BenchmarkResult sample() {
    Measurement ours = new Measurement("batch 8", "Flink Diffusion", "s", List.of(1.0, 2.0, 3.0));
    Measurement peer = new Measurement("batch 8", "diffusers", "s", List.of(1.5, 4.0, 3.0));
    return new BenchmarkResult.Builder("Sample", "How it was measured.")
        .add(ours)
        .add(peer)
        .add(Finding.speed(ours, peer, Goal.atLeast(1.2)))
        .add(Finding.absolute("heap", new Measurement("load", "us", "MiB", List.of(300.0)), null))
        .add(
            Plot.bars(
                "Seconds a picture",
                "batch",
                "s",
                List.of("1", "8"),
                List.of(new Plot.Series("ours", List.of(), List.of(1.0, 2.0)))))
        .add(
            Plot.lines(
                "Latency",
                "rate",
                "s",
                List.of(Plot.Axis.X, Plot.Axis.Y),
                List.of(new Plot.Series("p99", List.of(1.0, 10.0), List.of(0.1, 2.0)))))
        .note("The peer was warm.")
        .build(
            "sample",
            RunInfo.begin("benchmarks/run sample", folderOfProject(), false)
                .with(Map.of("torch", "2.7.1")));
  }

  private static Path folderOfProject() {
    return RunOptions.home();
  }

  @Test
  void aResultIsReadAsItWasWritten() {
    BenchmarkResult sample = sample();
    ResultFiles.write(folder, sample);

    assertThat(ResultFiles.readAll(folder)).containsExactly(sample);
  }

  @Test
  void thePageHasTablesPlotsGoalsAndTheCommand() throws IOException {
    ResultFiles.write(folder.resolve("results"), sample());
    Path page = folder.resolve("docs/benchmarks.md");
    Path stale = folder.resolve("docs/benchmarks/gone-1.png");
    Files.createDirectories(stale.getParent());
    Files.write(stale, new byte[1]);

    int exit =
        Benchmarks.run(
            "report",
            "--results",
            folder.resolve("results").toString(),
            "--output",
            page.toString());

    assertThat(exit).isZero();
    assertThat(page)
        .content()
        .contains(
            "| [sample](#sample) | batch 8 | speed over diffusers | **1.5x** (1 to 2) | >= 1.2x | met |",
            "## Sample",
            "| batch 8 | s | 2 (1 to 3) | 3 (1.5 to 4) |",
            "| batch 8 | speed over diffusers | **1.5x** (1 to 2) | >= 1.2x | met |",
            "| load | heap | **300 MiB** |  |  |",
            "![Seconds a picture](benchmarks/sample-1.png)",
            "![Latency](benchmarks/sample-2.png)",
            "- The peer was warm.",
            "    benchmarks/run sample",
            "torch 2.7.1");
    assertThat(stale).doesNotExist();
    for (int plot = 1; plot <= 2; plot++) {
      Raster picture =
          PngCodec.decode(
              Files.readAllBytes(folder.resolve("docs/benchmarks/sample-" + plot + ".png")));
      assertThat(picture.width()).isEqualTo(900);
      float[] data = picture.data();
      float first = data[0];
      boolean empty = true;
      for (float value : data) {
        empty &= value == first;
      }
      assertThat(empty).as("nothing is drawn").isFalse();
    }
  }

  @Test
  void aFileThatIsNoResultIsNamed() throws IOException {
    Files.writeString(folder.resolve("odd.json"), "{\"benchmark\": 3}");

    assertThatThrownBy(() -> ResultFiles.readAll(folder))
        .isInstanceOf(BenchmarkException.class)
        .hasMessageContaining("odd.json");
  }

  @Test
  void aPublishedCommandNamesNoFolder() {
    assertThat(
            CommandText.of(
                List.of("engine", "--python", "/home/me/env/bin/python", "--cache=/data/x y")))
        .isEqualTo("benchmarks/run engine --python python '--cache=x y'");
  }

  @Test
  void peersAreMeasuredInTurnAndInReverseEveryOtherRound() throws Exception {
    StringBuilder order = new StringBuilder();
    Map<String, Callable<Double>> subjects = new LinkedHashMap<>();
    subjects.put("a", () -> (double) order.append('a').length());
    subjects.put("b", () -> (double) order.append('b').length());

    Map<String, Measurement> measured = new Rounds(1, 2).alternate("case", "s", subjects);

    assertThat(order).hasToString("abbaab");
    assertThat(measured.get("a").values()).containsExactly(4.0, 5.0);
    assertThat(measured.get("b").values()).containsExactly(3.0, 6.0);
  }
}
