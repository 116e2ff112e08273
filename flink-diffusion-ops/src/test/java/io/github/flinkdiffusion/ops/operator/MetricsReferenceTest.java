/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** Keeps docs/METRICS.md equal to the code; {@code -Ddocs.write=true} writes it anew. */
class MetricsReferenceTest {
  private static final Path DOCUMENT = Path.of("../docs/METRICS.md");

  private static final String HEAD =
      """
      # Metrics of a diffusion operator

      In Flink's group of the operator, for each subtask, under these names. Histograms hold the last 1,024 values.
      Written by `MetricsReferenceTest` from `DiffusionMetrics`; do not edit.

      Counters are named as Flink names its own (`numRecordsIn`). The former names are deprecated: the same values are reported under them too, until version 1.0.

      A full operator (`inFlight` is its `capacity`) reads no input, and Flink's metrics of its task say *busy*: `busyTimeMsPerSecond` is near 1,000,
      `idleTimeMsPerSecond` and `backPressuredTimeMsPerSecond` near 0, and the tasks before it are back-pressured. So Flink's autoscaler, which reads
      `busyTimeMsPerSecond` and `numRecordsInPerSecond`, sees the operator as the bottleneck. The time also counts in `changelogBusyTimeMsPerSecond`.

      | metric | kind | | deprecated name |
      | --- | --- | --- | --- |
      """;

  @Test
  void theReferenceSaysWhatTheCodeSays() throws IOException {
    StringBuilder expected = new StringBuilder(HEAD);
    for (DiffusionMetrics.Described metric : DiffusionMetrics.REFERENCE) {
      expected.append(
          "| `%s` | %s | %s | %s |\n"
              .formatted(
                  metric.name(),
                  metric.kind(),
                  metric.description(),
                  metric.formerName() == null ? "" : "`" + metric.formerName() + "`"));
    }
    if (Boolean.getBoolean("docs.write")) {
      Files.writeString(DOCUMENT, expected);
    }
    assertThat(DOCUMENT).hasContent(expected.toString());
  }
}
