/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.sql;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * The scripts of this folder, unchanged, through Flink's SQL client and from Python: a standalone
 * cluster of separate processes with the SQL jar in its {@code lib/}, and a real broker, both on
 * free ports.
 */
class SqlScriptsITCase {
  private static final int PATIENCE_MINUTES = 8;
  private static final Path FOLDER = Path.of("target/sql-test").toAbsolutePath();

  @BeforeEach
  void clean() throws Exception {
    bash(Path.of("../cluster/cluster"), new File("target/clean.log"), "clean");
  }

  @AfterEach
  void stop() throws Exception {
    bash(Path.of("run"), new File("target/stop.log"), "stop");
  }

  @Test
  void promptsBecomePicturesAndPicturesHaveAQualityByWindow() throws Exception {
    File log = new File("target/scripts.log");
    int status = bash(Path.of("run"), log);
    String output = Files.readString(log.toPath());
    assertThat(status).as(output).isZero();

    for (String id : List.of("p1", "p2", "p3", "p5")) {
      assertThat(output)
          .containsPattern("\\+I \\| +" + id + " \\| +64 \\| +64 \\| +image/png \\| +<NULL> \\|");
    }
    assertThat(output)
        .containsPattern(
            "\\| +p4 \\| +<NULL> \\| +<NULL> \\| +<NULL> \\| +The request has no prompt");
    Path out = FOLDER.resolve("out");
    for (String id : List.of("p1", "p2", "p3", "p5")) {
      assertThat(PngCodec.decode(Files.readAllBytes(out.resolve(id + ".png"))).width())
          .isEqualTo(64);
    }
    assertThat(out.resolve("p4.txt")).content().startsWith("The request has no prompt");
    assertThat(PngCodec.decode(Files.readAllBytes(out.resolve("contact-sheet.png"))).width())
        .as("four images side by side")
        .isBetween(4 * 160, 5 * 160);
    assertWindow(output, "12:00", 2);
    assertWindow(output, "12:01", 1);
    assertWindow(output, "12:02", 1);
    assertThat(output)
        .containsPattern("\\+I \\| +poster-1 \\| +a large yellow sun on blue \\| +25 \\| +17 \\|");
  }

  @Test
  void theClientHasTheTablesOfEventsAndTheirTopics() throws Exception {
    Path statements = Path.of("target/own.sql").toAbsolutePath();
    Files.writeString(
        statements,
        """
        SET 'table.dml-sync' = 'true';
        SET 'sql-client.execution.result-mode' = 'tableau';
        INSERT INTO failure_events (id, reason, message) VALUES ('p4', 'INVALID_REQUEST', 'no prompt');
        SELECT id, message FROM failure_events /*+ OPTIONS('scan.bounded.mode' = 'latest-offset') */;
        """);
    File log = new File("target/events.log");
    int status = bash(Path.of("client"), log, "events.sql", "-f", statements.toString());
    String output = Files.readString(log.toPath());
    assertThat(status).as(output).isZero();
    assertThat(output).containsPattern("\\+I \\| +p4 \\| +no prompt \\|");
    File topics = new File("target/topics.log");
    assertThat(bash(Path.of("run"), topics, "topics", "mine", "failures")).isZero();
  }

  @Test
  void theSameFromPython() throws Exception {
    String python = System.getenv().getOrDefault("PYTHON", "python3");
    assumeTrue(
        hasPyFlink(python),
        "'" + python + "' has no PyFlink: pip install apache-flink, or set PYTHON");
    File log = new File("target/pipeline.log");
    int status = bash(Path.of("run"), log, "pipeline.py");
    String output = Files.readString(log.toPath());
    assertThat(status).as(output).isZero();

    for (String id : List.of("p1", "p2", "p3", "p5")) {
      Raster picture = PngCodec.decode(Files.readAllBytes(FOLDER.resolve("out/" + id + ".png")));
      assertThat(picture.width()).isEqualTo(64);
    }
    assertThat(output)
        .contains("p4: The request has no prompt")
        .containsPattern("12:00:00: PSNR [0-9.]+ dB, pictures: 2")
        .containsPattern("12:01:00: PSNR [0-9.]+ dB, pictures: 1")
        .containsPattern("12:02:00: PSNR [0-9.]+ dB, pictures: 1");
  }

  private static boolean hasPyFlink(String python) throws InterruptedException {
    try {
      return new ProcessBuilder(python, "-c", "import pyflink.table")
              .redirectErrorStream(true)
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .start()
              .waitFor()
          == 0;
    } catch (IOException noSuchProgram) {
      return false;
    }
  }

  /** Six steps draw what twenty draw, but not to the bit. */
  private static void assertWindow(String output, String minute, int pictures) {
    Matcher row =
        Pattern.compile(
                "2026-01-01 " + minute + ":00\\.000 \\| +" + pictures + " \\| +([0-9.]+) \\|")
            .matcher(output);
    assertThat(row.find()).as("a window of %s with %d pictures", minute, pictures).isTrue();
    assertThat(Double.parseDouble(row.group(1))).isBetween(15.0, 60.0);
  }

  private static int bash(Path script, File log, String... arguments)
      throws IOException, InterruptedException {
    ProcessBuilder builder = new ProcessBuilder("bash", script.toAbsolutePath().toString());
    builder.command().addAll(List.of(arguments));
    builder.environment().put("CLUSTER_FOLDER", FOLDER.toString());
    builder.environment().put("CLUSTER_OWNER", Long.toString(ProcessHandle.current().pid()));
    builder.environment().put("CLUSTER_BUILD", "no");
    builder.environment().put("OUT", FOLDER.resolve("out").toString());
    Process process = builder.redirectErrorStream(true).redirectOutput(log).start();
    try {
      assertThat(process.waitFor(PATIENCE_MINUTES, TimeUnit.MINUTES))
          .as("%s ends", script)
          .isTrue();
      return process.exitValue();
    } finally {
      process.destroyForcibly();
    }
  }
}
