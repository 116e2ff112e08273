/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The embedded detector through Kafka and Flink, and its boxes measured. */
@Tag("nightly")
class DetectDemoITCase {
  private static final Path MODEL = Path.of("../models/mini-detect").toAbsolutePath().normalize();

  @TempDir private Path folder;

  @Test
  void boxesOfTheExampleInputsAreFoundAndMeasured() throws Exception {
    Path found = folder.resolve("found");
    assertThat(DetectDemo.run("--model", MODEL.toString(), "--out", found.toString())).isZero();
    assertThat(found.resolve("contact-sheet.png")).isNotEmptyFile();
    Path report = folder.resolve("report");
    String annotations = MODEL.resolve("inputs/instances.json").toString();
    assertThat(
            EvaluateTool.run(
                "boxes",
                "--annotations",
                annotations,
                "--found",
                found.toString(),
                "--out",
                report.toString()))
        .isZero();
    JsonNode measures = new ObjectMapper().readTree(report.resolve("measures.json").toFile());
    assertThat(measures.path("AP50").asDouble()).isGreaterThan(0.55);
    assertThat(Files.readString(report.resolve("README.md"))).contains("in 12 images");
  }
}
