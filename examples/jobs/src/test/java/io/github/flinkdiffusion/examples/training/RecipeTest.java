/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;

/** Recipes are read, or refused by the key or value that is wrong. */
class RecipeTest extends TrainingCase {
  /** A recipe that is not valid would be noticed by whoever follows a page. */
  @Test
  void theExamplesRecipesAreValid() throws Exception {
    try (var files = Files.list(Path.of("../recipes"))) {
      List<Path> recipes = files.filter(each -> each.toString().endsWith(".yaml")).toList();
      assertThat(recipes).isNotEmpty();
      for (Path recipe : recipes) {
        assertThat(Recipe.read(recipe).out()).startsWithRaw(Path.of("out"));
      }
    }
  }

  /** The page's example has every key that is common to all tasks. */
  @Test
  void theRecipeOfTheDocumentationIsRead() throws Exception {
    String page = Files.readString(Path.of("../../docs/TRAIN.md"));
    String yaml = page.substring(page.indexOf("```yaml") + 7);
    Path file = Files.writeString(folder.resolve("r.yaml"), yaml.substring(0, yaml.indexOf("```")));
    Recipe recipe = Recipe.read(file);
    assertThat(recipe.task()).isEqualTo(Recipe.Task.LORA);
    assertThat(recipe.settings().accumulation()).isEqualTo(4);
    assertThat(recipe.samples().prompts()).hasSize(2);
    for (Recipe.Task task : Recipe.Task.values()) {
      assertThat(page).contains("`" + task.name().toLowerCase(Locale.ROOT) + "`");
    }
  }

  @Test
  void aRecipeWithAMisspelledKeyIsRefused() throws Exception {
    Path file =
        Files.writeString(
            folder.resolve("r.yaml"),
            recipe("unconditional", "tiny-ddpm", 4, "").replace("warm_up", "warmup"));
    assertThatThrownBy(() -> Recipe.read(file))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("[rate]")
        .hasMessageContaining("[warmup]")
        .hasMessageContaining("warm_up");
  }

  @Test
  void aRecipeOfAnUnknownTaskIsRefused() throws Exception {
    Path file = Files.writeString(folder.resolve("r.yaml"), recipe("painting", "tiny-ddpm", 4, ""));
    assertThatThrownBy(() -> Recipe.read(file))
        .hasMessageContaining("\"painting\"")
        .hasMessageContaining("unconditional, text, lora");
  }
}
