/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Every benchmark runs, in tiny sizes; how fast is nobody's business here. Those that start
 * processes or brokers of their own, and take ten seconds each, run nightly.
 */
class SmokeTest {
  @TempDir private Path results;

  @ParameterizedTest
  @ValueSource(strings = {"hotpath", "unet", "texts", "training", "latency", "scaling"})
  void runsAndLeavesAResult(String benchmark) {
    assertRuns(benchmark);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "engine",
        "networks",
        "end-to-end",
        "load",
        "sql",
        "credentials",
        "tenants",
        "caching",
        "quantized",
        "loras",
        "live",
        "connector",
        "checkpoints",
        "memory"
      })
  @Tag("nightly")
  void runsAndLeavesAResultThoughItTakesLonger(String benchmark) {
    assertRuns(benchmark);
  }

  private void assertRuns(String benchmark) {
    assertThat(Benchmarks.run(benchmark, "--smoke", "--results", results.toString())).isZero();

    List<BenchmarkResult> written = ResultFiles.readAll(results);
    assertThat(written).hasSize(1);
    assertThat(written.get(0).benchmark()).isEqualTo(benchmark);
    assertThat(written.get(0).run().smoke()).isTrue();
    assertThat(written.get(0).measurements()).isNotEmpty();
  }
}
