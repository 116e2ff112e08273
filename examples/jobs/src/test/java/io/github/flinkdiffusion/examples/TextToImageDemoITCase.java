/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import io.github.flinkdiffusion.ops.image.PngCodec;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The demo as its user runs it, on a tiny model of random weights. */
class TextToImageDemoITCase {
  private static final String MODEL =
      "../../flink-diffusion-ops/src/test/resources/fixtures/models/tiny-sd1";

  @TempDir private Path out;

  /**
   * What a run said.
   *
   * @param err lines on standard error
   */
  private record Run(int exitCode, String text, List<String> err) {}

  private Run run(String... arguments) {
    List<String> all = new ArrayList<>(List.of("--out", out.toString()));
    all.addAll(List.of(arguments));
    if (!all.contains("--device")) {
      all.addAll(List.of("--device", "cpu"));
    }
    PrintStream standardOut = System.out;
    PrintStream standardErr = System.err;
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    ByteArrayOutputStream errors = new ByteArrayOutputStream();
    System.setOut(new PrintStream(text, true));
    System.setErr(new PrintStream(errors, true));
    try {
      int exitCode = TextToImageDemo.run(all.toArray(String[]::new));
      return new Run(exitCode, text.toString(), errors.toString().lines().toList());
    } finally {
      System.setOut(standardOut);
      System.setErr(standardErr);
    }
  }

  @Test
  void leavesPicturesAContactSheetAndASummary() throws Exception {
    Path prompts = Files.writeString(out.resolve("prompts.txt"), "a cat\na dog\n");

    Run run =
        run(
            "--model",
            MODEL,
            "--prompts",
            prompts.toString(),
            "--count",
            "2",
            "--steps",
            "2",
            "--scheduler",
            "EulerDiscreteScheduler",
            "--size",
            "64x72",
            "--parallelism",
            "2");

    assertThat(run.exitCode).as(run.err.toString()).isZero();
    assertThat(run.text).contains("4 of 4 images").contains("0 failures");
    JsonNode summary = new ObjectMapper().readTree(out.resolve("summary.json").toFile());
    assertThat(summary.at("/pictures"))
        .hasSize(4)
        .allSatisfy(
            picture -> {
              byte[] png = Files.readAllBytes(out.resolve(picture.at("/file").asText()));
              assertThat(PngCodec.decode(png).toString()).isEqualTo("Raster[3 x 72 x 64]");
              assertThat(picture.at("/scheduler").asText()).isEqualTo("EulerDiscreteScheduler");
              assertThat(picture.at("/guidanceScale").asDouble()).isEqualTo(7.5);
            })
        .extracting(picture -> picture.at("/file").asText())
        .containsExactly(
            "pictures/001-a-cat.png",
            "pictures/002-a-cat.png",
            "pictures/003-a-dog.png",
            "pictures/004-a-dog.png");
    assertThat(summary.at("/pictures"))
        .extracting(picture -> picture.at("/seed").asLong())
        .containsExactly(1L, 2L, 3L, 4L);
    assertThat(summary.at("/batches/calls").asLong()).isBetween(2L, 16L);
    assertThat(summary.at("/batches/largestRows").asLong()).isBetween(2L, 8L);
    PngCodec.decode(Files.readAllBytes(out.resolve("contact-sheet.png")));
    assertThat(run.text).startsWith(Files.readString(out.resolve("summary.txt")));
  }

  @Test
  void onABrokerOfOnesOwnARunSeesNothingOfEarlierOnes() throws Exception {
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().start()) {
      for (String prompt : List.of("a cat", "a dog")) {
        Run run =
            run(
                "--model",
                MODEL,
                "--bootstrap-servers",
                kafka.bootstrapServers(),
                "--topic-prefix",
                "shared-",
                "--steps",
                "1",
                prompt);
        assertThat(run.exitCode).as(run.err.toString()).isZero();
        JsonNode summary = new ObjectMapper().readTree(out.resolve("summary.json").toFile());
        assertThat(summary.at("/pictures"))
            .extracting(picture -> picture.at("/prompt").asText())
            .containsExactly(prompt);
      }
      assertThat(kafka.readCommitted("shared-images")).hasSize(2);
      assertThat(kafka.readCommitted("shared-prompts")).hasSize(2);
    }
  }

  @Test
  void promptsThatCanNotBeDoneEndItWithOneLine() {
    Run run = run("--model", MODEL, "--size", "7", "--steps", "2", "a cat");

    assertThat(run.exitCode).isEqualTo(1);
    assertThat(run.err)
        .filteredOn(line -> line.startsWith("error: "))
        .singleElement()
        .asString()
        .contains("1 of 1 prompts")
        .contains("7");
    assertThat(run.text).contains("INVALID_REQUEST");
  }

  @Test
  void whatCanBeKnownBeforehandEndsItBeforeAnythingIsStarted() {
    assertThat(onlyError(run("--model", out.resolve("nowhere").toString()))).contains("nowhere");
    assertThat(onlyError(run("--model", MODEL, "--scheduler", "Magic")))
        .contains("Magic")
        .contains("EulerDiscreteScheduler");
    assertThat(onlyError(run("--model", MODEL, "--count", "0"))).contains("--count is 0");
    assertThat(onlyError(run("--model", MODEL, "--steps", "0"))).contains("--steps is 0");
    assertThat(onlyError(run("--model", MODEL, "--device", "tpu"))).contains("tpu").contains("cpu");
  }

  @Test
  void theWordsThatAModelKnowsAreListedAndNothingIsStarted() {
    Run run = run("--model", "../models/mini-emoji", "--list-words");
    assertThat(run.exitCode).isZero();
    assertThat(run.err).isEmpty();
    assertThat(run.text.lines())
        .startsWith("a SIZE NOUN on a COLOR background")
        .anyMatch(line -> line.startsWith("nouns: red apple, banana"))
        .contains("sizes: large, small");
    assertThat(out.resolve("summary.json")).doesNotExist();
  }

  /** The one line that says what is wrong; nothing else is said but where the details are. */
  private static String onlyError(Run run) {
    assertThat(run.exitCode).isEqualTo(1);
    assertThat(run.text).isEmpty();
    assertThat(run.err).hasSize(2);
    assertThat(run.err.get(0)).startsWith("error: ");
    assertThat(run.err.get(1)).startsWith("Details are in ");
    return run.err.get(0);
  }

  @Test
  void wrongArgumentsEndItWithOneLine() {
    assertThat(run("--size", "huge"))
        .isEqualTo(
            new Run(
                2,
                "",
                List.of(
                    "error: Invalid value for option '--size': 'huge' is not a size; expected 64"
                        + " or 96x64; --help lists the options.")));
  }
}
