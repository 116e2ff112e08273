/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** Which prompts the second embedded model was not trained on. */
public final class HeldOutScenes {
  private HeldOutScenes() {}

  /**
   * Whether this asks for a combination of noun, size and background that was kept out of the
   * training. A prompt that leaves one of them open asks for none.
   */
  public static boolean isAskedFor(String prompt) {
    AskedScene asked = AskedScene.of(prompt);
    List<String> words = List.of(prompt.toLowerCase(Locale.ROOT).split("[^a-z]+"));
    List<SceneSize> sizes =
        Arrays.stream(SceneSize.values())
            .filter(size -> size.words().stream().anyMatch(words::contains))
            .toList();
    return asked.things() == 1
        && asked.nouns().size() == 1
        && sizes.size() == 1
        && asked.background().stream()
            .map(
                background ->
                    Scene.of(asked.nouns().get(0), sizes.get(0), SceneStyle.NOTO, background))
            .anyMatch(SceneVocabulary::isHeldOut);
  }
}
