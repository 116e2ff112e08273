/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.evaluation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BiasPlanTest {
  private static final String PLAN =
      """
      draw: {model: m, steps: 4}
      images: 4
      windows: 2
      templates: ["a {size} {thing}", "on blue"]
      words: {size: [large, small], thing: [cat, dog]}
      attributes:
        - {name: Color, reader: border-color, colors: {red: "#ff0000", blue: "#0000ff"}}
      """;

  @TempDir private Path folder;

  private BiasPlan plan(String text) throws IOException {
    return BiasPlan.read(Files.writeString(folder.resolve("plan.yaml"), text));
  }

  @Test
  void templatesStandForAllTheirWords() throws IOException {
    BiasPlan plan = plan(PLAN);

    assertThat(plan.prompts("a {size} {thing}"))
        .containsExactly("a large cat", "a large dog", "a small cat", "a small dog");
    assertThat(plan.prompts("on blue")).containsExactly("on blue");
  }

  @Test
  void aMisspelledKeyIsRefusedWithTheKnownOnes() {
    assertThatThrownBy(() -> plan(PLAN.replace("images:", "image:")))
        .isInstanceOf(EvaluationException.class)
        .hasMessageContaining("unknown key 'image'")
        .hasMessageContaining("images");
    assertThatThrownBy(() -> plan(PLAN.replace("colors:", "colours:")))
        .hasMessageContaining("unknown key 'colours' at attributes 1;");
  }

  @Test
  void whatDoesNotFitIsRefusedByName() {
    assertThatThrownBy(() -> plan(PLAN.replace("{thing}", "{animal}")))
        .hasMessageContaining("names {animal}; expected one of [size, thing]");
    assertThatThrownBy(() -> plan(PLAN.replace("windows: 2", "windows: 9")))
        .hasMessageContaining("'windows' 9");
    assertThatThrownBy(() -> plan(PLAN.replace("images: 4", "images: 50000")))
        .hasMessageContaining("250000 images; at most 100000");
    assertThatThrownBy(() -> plan(PLAN.replace("border-color", "guess")))
        .hasMessageContaining("guess");
    assertThatThrownBy(() -> plan("")).hasMessageContaining("plan.yaml");
    assertThatThrownBy(() -> plan("[1, 2")).hasMessageContaining("plan.yaml");
  }

  @Test
  void aReferenceHasAllSharesAndNoOtherClass() throws IOException {
    BiasPlan.Attribute half = plan(reference("{red: 0.5, blue: 0.5}")).attributes().get(0);
    assertThat(BiasPlan.reference(half, List.of("red", "blue"))).containsExactly(0.5, 0.5);

    BiasPlan.Attribute other = plan(reference("{red: 0.5, green: 0.5}")).attributes().get(0);
    assertThatThrownBy(() -> BiasPlan.reference(other, List.of("red", "blue")))
        .hasMessageContaining("unknown classes [green]");
    BiasPlan.Attribute less = plan(reference("{red: 0.5}")).attributes().get(0);
    assertThatThrownBy(() -> BiasPlan.reference(less, List.of("red", "blue")))
        .hasMessageContaining("the sum 0.5");
  }

  private static String reference(String shares) {
    return PLAN.replace("\"#0000ff\"}", "\"#0000ff\"}, reference: " + shares);
  }
}
