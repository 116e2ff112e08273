/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The command as its user runs it, on a tiny model of random weights. */
class StoryDemoITCase {
  private static final String MODEL =
      "../../flink-diffusion-ops/src/test/resources/fixtures/models/tiny-sd1";

  @TempDir private Path folder;

  private record Run(int exitCode, String text, List<String> err) {}

  private static Run run(String... arguments) {
    PrintStream standardOut = System.out;
    PrintStream standardErr = System.err;
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    ByteArrayOutputStream errors = new ByteArrayOutputStream();
    System.setOut(new PrintStream(text, true));
    System.setErr(new PrintStream(errors, true));
    try {
      int exitCode = StoryDemo.run(arguments);
      return new Run(exitCode, text.toString(), errors.toString().lines().toList());
    } finally {
      System.setOut(standardOut);
      System.setErr(standardErr);
    }
  }

  @Test
  void aStoryBecomesNumberedImagesAndAStoryboard() throws Exception {
    Path story =
        Files.writeString(
            folder.resolve("cat.json"),
            """
            {"title": "A cat", "style": "a photo", "seed": 3, "width": 64, "height": 64,
             "guidanceScale": 1.0,
             "scenes": ["a cat", {"prompt": "a cat", "caption": "Again."}, "a dog"]}
            """);
    Path out = folder.resolve("out");

    Run run =
        run(
            story.toString(),
            "--model",
            MODEL,
            "--steps",
            "2",
            "--device",
            "cpu",
            "--out",
            out.toString(),
            "-Ddiffusion.batch.rows=4");

    assertThat(run.exitCode).as(run.err.toString()).isZero();
    assertThat(run.text).startsWith("3 of 3 images");
    JsonNode list = new ObjectMapper().readTree(out.resolve("story.json").toFile());
    assertThat(list.at("/story").asText()).isEqualTo("cat");
    assertThat(list.at("/scenes"))
        .extracting(
            scene ->
                "%d %s %s: %s, seed %d"
                    .formatted(
                        scene.at("/scene").asInt(),
                        scene.at("/id").asText(),
                        scene.at("/file").asText(),
                        scene.at("/prompt").asText(),
                        scene.at("/seed").asLong()))
        .containsExactly(
            "1 cat-01 pictures/001-a-cat.png: a cat, a photo, seed 3",
            "2 cat-02 pictures/002-again.png: a cat, a photo, seed 3",
            "3 cat-03 pictures/003-a-dog.png: a dog, a photo, seed 3");
    // One seed: the same prompt is the same image.
    byte[] first = Files.readAllBytes(out.resolve("pictures/001-a-cat.png"));
    assertThat(out.resolve("pictures/002-again.png")).hasBinaryContent(first);
    assertThat(Files.readAllBytes(out.resolve("pictures/003-a-dog.png"))).isNotEqualTo(first);
    Raster sheet = PngCodec.decode(Files.readAllBytes(out.resolve("storyboard.png")));
    assertThat(sheet.width()).isGreaterThan(3 * 192);
  }

  @Test
  void aSceneThatTheModelRefusesIsNamedBeforeAnythingStarts() throws Exception {
    Path story =
        Files.writeString(
            folder.resolve("bad.json"),
            "{\"scenes\": [\"a cat\", {\"prompt\": \"a dog\", \"width\": 7}]}");
    Path out = folder.resolve("out");

    Run run = run(story.toString(), "--model", MODEL, "--out", out.toString());

    assertThat(run.exitCode).isEqualTo(1);
    // A line about the log follows where an earlier run of this process has one.
    assertThat(run.err)
        .filteredOn(line -> line.startsWith("error: "))
        .singleElement()
        .asString()
        .contains("bad.json, scene 2")
        .contains("width is 7");
    assertThat(out).doesNotExist();
  }
}
