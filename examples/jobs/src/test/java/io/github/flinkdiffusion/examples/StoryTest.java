/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class StoryTest {
  private static Story story(String json) {
    return Story.of(json.getBytes(StandardCharsets.UTF_8), "file", "file.json");
  }

  @Test
  void scenesShareWhatTheStorySaysAndHaveAnIndex() {
    Story story =
        story(
            """
            {"id": "moon", "title": "To the moon", "style": "ink drawing", "seed": 7,
             "negativePrompt": "text", "attributes": {"user": "ada"},
             "parameters": {"loras": "ink:0.8"},
             "scenes": ["a rocket",
                        {"prompt": "a cat", "caption": "She slept.", "seed": 9, "steps": 4}]}
            """);

    assertThat(story.title()).isEqualTo("To the moon");
    assertThat(story.scenes())
        .extracting(Story.Scene::caption)
        .containsExactly("a rocket", "She slept.");
    assertThat(story.scenes())
        .extracting(scene -> scene.event().getId())
        .containsExactly("moon-01", "moon-02");
    assertThat(story.scenes())
        .extracting(scene -> scene.event().getPrompt())
        .containsExactly("a rocket, ink drawing", "a cat, ink drawing");
    assertThat(story.scenes()).extracting(scene -> scene.event().getSeed()).containsExactly(7L, 9L);
    assertThat(story.scenes())
        .allSatisfy(
            scene -> {
              assertThat(scene.event().getNegativePrompt()).isEqualTo("text");
              assertThat(scene.event().getParameters()).containsEntry("loras", "ink:0.8");
            });
    assertThat(story.scenes().get(1).event().getAttributes())
        .containsExactlyInAnyOrderEntriesOf(
            Map.of("user", "ada", "story", "moon", "scene", "2", "scenes", "2"));
    assertThat(story.scenes().get(1).event().getSteps()).isEqualTo(4);
  }

  @Test
  void aStyleMayHaveAPlaceForTheScene() {
    Story story =
        story("{\"style\": \"a small {scene} background\", \"scenes\": [\"fox on a red\"]}");

    assertThat(story.id()).isEqualTo("file");
    assertThat(story.scenes().get(0).event().getPrompt())
        .isEqualTo("a small fox on a red background");
    assertThat(story.scenes().get(0).event().getSeed()).isEqualTo(1);
  }

  @Test
  void theStoryOfTheExampleIsOne() {
    Story story = Story.read(Path.of("../stories/turtle.json"));

    assertThat(story.id()).isEqualTo("turtle");
    assertThat(story.scenes()).hasSize(8).extracting(Story.Scene::caption).doesNotHaveDuplicates();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      quoteCharacter = '`',
      value = {
        "{\"scenes\": [; no JSON",
        "[\"a cat\"]; expected a JSON object",
        "{\"title\": \"x\"}; \"scenes\" is missing",
        "{\"scenes\": []}; an array of 0",
        "{\"scenes\": \"a cat\"}; no array",
        "{\"scenes\": [7]}; scene 1 is 7",
        "{\"scenes\": [\"a\", {\"caption\": \"b\"}]}; scene 2: \"prompt\" is missing",
        "{\"scenes\": [{\"prompt\": \"a\", \"id\": \"b\"}]}; has an \"id\"",
        "{\"scenes\": [\"a\"], \"prompt\": \"b\"}; has a \"prompt\"",
        "{\"scenes\": [\"a\"], \"style\": 3}; \"style\" is 3",
        "{\"scenes\": [\"a\"], \"attributes\": [1]}; \"attributes\" is [1]",
        "{\"scenes\": [\"a\"], \"stile\": \"ink\"}; stile"
      })
  void whatIsNoStoryIsNamed(String json, String why) {
    assertThatThrownBy(() -> story(json))
        .isInstanceOf(DemoException.class)
        .hasMessageContaining("file.json")
        .hasMessageContaining(why);
  }
}
