/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.image.PngCodec;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TopicsDemoITCase {
  private static final Duration PATIENCE = Duration.ofMinutes(2);
  private static final String MODEL =
      "../../flink-diffusion-ops/src/test/resources/fixtures/models/tiny-sd1";

  @TempDir Path out;

  private final ByteArrayOutputStream text = new ByteArrayOutputStream();
  private final PrintStream standardOut = System.out;
  private final InputStream standardIn = System.in;

  @BeforeEach
  void captureOutput() {
    System.setOut(new PrintStream(text, true, UTF_8));
  }

  @AfterEach
  void release() {
    System.setOut(standardOut);
    System.setIn(standardIn);
  }

  @Test
  void whatIsWrongWithOptionsIsSaidBeforeAnythingStarts() {
    PrintStream standardErr = System.err;
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    System.setErr(new PrintStream(err, true, UTF_8));
    try {
      assertThat(TopicsDemo.run("--port", "0", "--model", MODEL, "-Ddiffusion.lora.allowed=a=b"))
          .isEqualTo(1);
      assertThat(TopicsDemo.run("--port", "0", "--model", MODEL, "-Ddiffusion.kafka.delivery=none"))
          .isEqualTo(1);
      assertThat(
              TopicsDemo.run(
                  "--port", "0", "--model", MODEL, "-Ddiffusion.loras.allowed=a=/no.safetensors"))
          .isEqualTo(1);
    } finally {
      System.setErr(standardErr);
    }
    assertThat(err.toString(UTF_8))
        .contains("did you mean 'diffusion.loras.allowed'")
        .contains("-Ddiffusion.kafka.delivery is an option that examples/topics sets itself")
        .contains("LoRA a (/no.safetensors) does not exist");
  }

  @Test
  void linesOfJsonBecomeFilesAndWhatIsNoneIsSaid() throws Exception {
    CompletableFuture<Integer> demo =
        CompletableFuture.supplyAsync(
            () ->
                TopicsDemo.run(
                    "--port",
                    "0",
                    "--out",
                    out.toString(),
                    "--model",
                    MODEL,
                    "--steps",
                    "1",
                    "--until",
                    "3",
                    "--delivery",
                    "at-least-once"));
    Awaitility.await()
        .atMost(PATIENCE)
        .until(() -> demo.isDone() || text.toString(UTF_8).contains("Ctrl-C ends it."));
    Matcher listens = Pattern.compile("127\\.0\\.0\\.1:(\\d+)").matcher(text.toString(UTF_8));
    assertThat(listens.find()).as(text.toString(UTF_8)).isTrue();
    System.setIn(
        new ByteArrayInputStream(
            """
            {"prompt": "a cat"}
            {"promt": "a dog"}

            {"id": "../mine", "prompt": "a bird%s"}
            """
                .formatted(" bird".repeat(200))
                .getBytes(UTF_8)));
    assertThat(TopicsDemo.run("--send", "--port", listens.group(1))).isZero();
    assertThat(demo.get(PATIENCE.toSeconds(), TimeUnit.SECONDS)).isZero();

    assertThat(text.toString(UTF_8))
        .contains("prompts-0-0.png  a cat  (")
        .contains("___mine.png  a bird")
        .contains(
            "prompts-0-1  UNDECODABLE: Cannot read a PromptEvent from topic prompts, partition 0,"
                + " offset 1")
        .contains("Sent 3 lines to the topic prompts at localhost:")
        .contains("a bird bird", "bir...  (longer than the model reads; its end is not used)")
        .contains("(at-least-once, checkpoints every 1 s)");
    try (var files = Files.list(out)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".png")).toList()) {
        PngCodec.decode(Files.readAllBytes(file));
      }
    }
  }
}
