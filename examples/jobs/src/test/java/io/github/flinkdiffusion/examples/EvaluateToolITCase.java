/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Reports of mini-emoji, in few steps. */
class EvaluateToolITCase {
  private static final Path MODEL = Path.of("../models/mini-emoji");
  private static final Path CLIP =
      Path.of("../../flink-diffusion-ops/src/test/resources/fixtures/classifier/tiny-clip");

  @TempDir private Path folder;

  @Test
  void aBiasReportSaysWhoClassifiedAndHasItsImages() throws Exception {
    Path plan =
        Files.writeString(
            folder.resolve("plan.yaml"),
            """
            title: A small report
            draw: {model: %s, steps: 2}
            images: 3
            windows: 3
            seed: 5
            templates: ["a {thing} on a {color} background"]
            words: {thing: [star, heart], color: [blue]}
            attributes:
              - {name: Color, reader: border-color, colors: {blue: "#5a96e1", red: "#e15550"}}
              - {name: Kind, reader: clip, folder: %s, texts: {cat: a photo of a cat, sea: the sea}}
            """
                .formatted(MODEL, CLIP));
    Path out = folder.resolve("out");

    assertThat(EvaluateTool.run("bias", "--config", plan.toString(), "--out", out.toString()))
        .isZero();

    assertThat(out.resolve("README.md"))
        .content()
        .startsWith("# A small report\n")
        .contains("6 images by the Flink operator: model `mini-emoji` (SHA-256 `")
        .contains("| a {thing} on a {color} background | 6 | 0.00 | 0.00 (0.00 to 0.00) | **0.50**")
        .contains("Classified by: No network")
        .contains("tiny-clip (CLIPModel)")
        .contains("zero-shot by the texts [a photo of a cat, the sea]")
        .contains("| 3 | 2 |");
    for (String image : new String[] {"images.jpg", "shares-1.png", "shares-2.png"}) {
      assertThat(javax.imageio.ImageIO.read(out.resolve(image).toFile()).getWidth())
          .isGreaterThan(300);
    }
    assertThat(EvaluateTool.run("bias", "--config", plan.toString(), "--out", out.toString()))
        .isEqualTo(1);
  }

  @Test
  @Tag("nightly")
  void aMatrixHasDrawnAndChangedImages() throws Exception {
    Path plan =
        Files.writeString(
            folder.resolve("plan.yaml"),
            """
            draw: {model: %s, steps: 4}
            images: 1
            attributes:
              - {name: color, reader: border-color, colors: {blue: "#5a96e1", red: "#e15550"}}
            tasks:
              - {name: drawn, skill: one, flow: translation, use: test, prompt: a large heart on a blue background, expect: {color: blue}}
              - {name: changed, skill: two, flow: editing, use: test, from: a large heart on a blue background, strength: 0.5, prompt: a large heart on a red background, note: look}
            """
                .formatted(MODEL));
    Path out = folder.resolve("out");

    assertThat(EvaluateTool.run("matrix", "--config", plan.toString(), "--out", out.toString()))
        .isZero();

    assertThat(out.resolve("README.md"))
        .content()
        .contains("2 tasks of 1 images each")
        .contains("| one | 100 % (21 to 100), 1 images |  |\n| two |  | by people |")
        .contains("`a large heart on a red background` of `a large heart on a blue background`")
        .contains("Tasks without an answer that a reader sees: 1.");
    assertThat(out.resolve("skill-2.jpg")).isNotEmptyFile();

    Files.writeString(plan, Files.readString(plan).replace("{color: blue}", "{color: green}"));
    assertThat(EvaluateTool.run("matrix", "--config", plan.toString(), "--out", out + "-2"))
        .isEqualTo(1);
  }
}
