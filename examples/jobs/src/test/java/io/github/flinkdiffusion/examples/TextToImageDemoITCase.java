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
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The demo as its user runs it, on a tiny model of random weights. */
class TextToImageDemoITCase {
  private static final String MODEL =
      "../../flink-diffusion-ops/src/test/resources/fixtures/models/tiny-sd1";

  @TempDir private Path folder;

  private Path out;

  @BeforeEach
  void choosesAFolder() {
    out = folder.resolve("out");
  }

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
    Path prompts = Files.writeString(folder.resolve("prompts.txt"), "a cat\na dog\n");

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
            "2",
            "-Ddiffusion.batch.rows=4");

    assertThat(run.exitCode).as(run.err.toString()).isZero();
    assertThat(run.text)
        .contains("4 of 4 images")
        .contains("tiny-sd1 on cpu, parallelism 2")
        .contains("0 failures");
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
    assertThat(summary.at("/batches/largestRows").asLong()).isBetween(2L, 4L);
    PngCodec.decode(Files.readAllBytes(out.resolve("contact-sheet.png")));
    assertThat(run.text).startsWith(Files.readString(out.resolve("summary.txt")));

    byte[] before = Files.readAllBytes(out.resolve("summary.json"));
    assertThat(onlyError(run("--model", MODEL, "--steps", "2", "a cat")))
        .contains(out.toString())
        .contains("not empty")
        .contains("--out");
    assertThat(out.resolve("summary.json")).hasBinaryContent(before);
  }

  @Test
  void aLineMayBeAJsonObjectWhoseFieldsWinOverTheOptions() throws Exception {
    Path prompts =
        Files.writeString(
            folder.resolve("prompts.jsonl"),
            """
            {"id": "mine", "prompt": "a cat", "seed": 70, "width": 72, "height": 64, "negativePrompt": "dogs"}
            {"prompt": "two dogs", "steps": 1, "negativePrompt": "", "parameters": {"model": "emoji"}, "width": 64, "height": 64}
            a horse
            """);

    Run run =
        run(
            "--model",
            MODEL,
            "-Ddiffusion.models=emoji=../models/mini-emoji",
            "-Ddiffusion.kafka.source.format=json",
            "-Ddiffusion.kafka.sink.format=json",
            "--prompts",
            prompts.toString(),
            "--steps",
            "2",
            "--size",
            "64x64",
            "--negative-prompt",
            "rain");

    assertThat(run.exitCode).as(run.err.toString()).isZero();
    assertThat(run.err.get(0)).isEqualTo("mini-emoji does not know two, dogs of \"two dogs\"");
    assertThat(run.text).contains("  two dogs: two, dogs");
    JsonNode pictures =
        new ObjectMapper().readTree(out.resolve("summary.json").toFile()).at("/pictures");
    assertThat(pictures)
        .extracting(
            picture ->
                "%s: %s not %s, %d x %d, %d steps, %s"
                    .formatted(
                        picture.at("/prompt").asText(),
                        picture.at("/seed").asLong(),
                        picture.at("/negativePrompt").asText(),
                        picture.at("/width").asInt(),
                        picture.at("/height").asInt(),
                        picture.at("/steps").asInt(),
                        picture.at("/guidanceScale").asText()))
        .containsExactly(
            "a cat: 70 not dogs, 72 x 64, 2 steps, 7.5",
            "two dogs: 2 not , 64 x 64, 1 steps, 2.0",
            "a horse: 3 not rain, 64 x 64, 2 steps, 7.5");
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
        out = folder.resolve("second");
      }
      assertThat(kafka.readCommitted("shared-images")).hasSize(2);
      assertThat(kafka.readCommitted("shared-prompts")).hasSize(2);
    }
  }

  @Test
  void promptsThatFailAreNamedOnceEach() {
    Run run =
        run("--model", MODEL, "--steps", "2", "-Ddiffusion.request.timeout=1 ms", "a cat", "a dog");

    assertThat(run.exitCode).isEqualTo(1);
    assertThat(run.text)
        .contains("2 failures")
        .containsOnlyOnce("\"a cat\": TIMEOUT: ")
        .containsOnlyOnce("\"a dog\": TIMEOUT: ");
    assertThat(run.err)
        .filteredOn(line -> line.startsWith("error: "))
        .containsExactly(
            "error: 2 of 2 prompts failed; the reasons are in %s."
                .formatted(out.resolve("summary.txt")));
  }

  @Test
  void whatCanBeKnownBeforehandEndsItBeforeAnythingIsStartedOrWritten() throws Exception {
    Path lines = folder.resolve("lines");
    Files.writeString(lines, "a cat\n\n{\"prompt\": \"a dog\", \"sede\": 7}\n");
    assertThat(onlyError(run("--model", MODEL, "--prompts", lines.toString())))
        .contains(lines + ", line 3")
        .contains("sede")
        .contains("seed");
    Files.writeString(lines, "a cat\n{\"prompt\": \"a dog\", \"width\": 7}\n");
    assertThat(onlyError(run("--model", MODEL, "--prompts", lines.toString())))
        .contains(lines + ", line 2")
        .contains("a dog")
        .contains("width is 7");
    Files.writeString(lines, "{\"id\": \"a\", \"prompt\": \"b\"}\n".repeat(2));
    assertThat(onlyError(run("--model", MODEL, "--prompts", lines.toString())))
        .contains("line 1")
        .contains("line 2")
        .contains("id 'a'");
    String nowhere = folder.resolve("nowhere").toString();
    assertThat(onlyError(run("--model", nowhere, "a"))).contains(nowhere);
    assertThat(onlyError(run("--model", MODEL, "--scheduler", "Euler", "a")))
        .contains("'Euler' (did you mean 'EulerDiscreteScheduler'?)");
    assertThat(onlyError(run("--model", MODEL)))
        .contains("Say what to draw")
        .contains("vocabulary.json");
    assertThat(onlyError(run("--model", MODEL, "--count", "0", "a cat"))).contains("--count is 0");
    assertThat(onlyError(run("--model", MODEL, "--steps", "0", "a cat"))).contains("--steps is 0");
    assertThat(onlyError(run("--model", MODEL, "--steps", "99999", "a cat"))).contains("99999");
    assertThat(onlyError(run("--model", MODEL, "--parallelism", "0", "a cat"))).contains("is 0");
    assertThat(onlyError(run("--model", MODEL, "--size", "7", "a cat"))).contains("width is 7");
    assertThat(onlyError(run("--model", MODEL, "--device", "tpu", "a cat")))
        .contains("tpu")
        .contains("cpu");
    assertThat(onlyError(run("--model", MODEL, "-Ddiffusion.capasity=3", "a cat")))
        .contains("capasity")
        .contains("diffusion.capacity");
    assertThat(onlyError(run("--model", MODEL, "-Ddiffusion.capacity=x", "a cat"))).contains("'x'");
    assertThat(onlyError(run("--model", MODEL, "-Ddiffusion.device=cpu", "a cat")))
        .contains("--device");
    assertThat(onlyError(run("--no-job", "a"))).contains("--bootstrap-servers");
    assertThat(
            onlyError(run("--no-job", "--bootstrap-servers", "h:1", "-Ddiffusion.capacity=3", "a")))
        .contains("diffusion.capacity")
        .contains("--no-job");
    assertThat(
            onlyError(run("--model", MODEL, "-Ddiffusion.kafka.source.format=registry-json", "a")))
        .contains("diffusion.kafka.registry.url");
    assertThat(out).doesNotExist();
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

  /** The one line that says what is wrong. */
  private static String onlyError(Run run) {
    assertThat(run.exitCode).isEqualTo(1);
    assertThat(run.text).isEmpty();
    assertThat(run.err).filteredOn(line -> !line.startsWith("Details are in ")).hasSize(1);
    assertThat(run.err.get(0)).startsWith("error: ");
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
