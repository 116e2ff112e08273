/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;

/** The built-in prompts of the demo, and which of all prompts mini-emoji was not trained on. */
final class Prompts {
  private static final Set<String> HELD_OUT =
      EmojiVocabulary.heldOutScenes().stream()
          .flatMap(scene -> scene.phrasings().stream())
          .collect(Collectors.toUnmodifiableSet());

  private static final List<String> BUILT_IN =
      List.of(
          "a large red apple on a blue background",
          "a small hamburger on a blue background",
          "a large cat face on green",
          "a small ice cream on a green background",
          "a large rocket on a purple background",
          "a small turtle on a purple background",
          "a pizza on a white background",
          "a small tiger face on a white background",
          "a large penguin on an orange background",
          "a small butterfly on an orange background",
          "a large sunflower on a gray background",
          "a small octopus on a gray background",
          "a large house on a yellow background",
          "a small unicorn on a yellow background",
          "a small car on a red background",
          "a small robot on a red background");

  private Prompts() {}

  /**
   * Sixteen different emoji for mini-emoji: for each background colour one combination that it was
   * trained on and one that it has never seen.
   */
  static List<String> builtIn() {
    return BUILT_IN;
  }

  /**
   * Whether this asks for a combination that was kept out of mini-emoji's training. As in its
   * tokenizer, capital letters and the number of blanks make no difference.
   */
  static boolean isHeldOut(String prompt) {
    return HELD_OUT.contains(
        prompt.strip().replaceAll("\\s+", " ").replaceAll("[.!]+$", "").toLowerCase(Locale.ROOT));
  }
}
