/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;

/** Which prompts mini-emoji was not trained on. */
final class Prompts {
  private static final Set<String> HELD_OUT =
      EmojiVocabulary.heldOutScenes().stream()
          .flatMap(scene -> scene.phrasings().stream())
          .collect(Collectors.toUnmodifiableSet());

  private Prompts() {}

  /**
   * Whether this asks for a combination that was kept out of mini-emoji's training. As in its
   * tokenizer, capital letters and the number of blanks make no difference.
   */
  static boolean isHeldOut(String prompt) {
    return HELD_OUT.contains(
        prompt.strip().replaceAll("\\s+", " ").replaceAll("[.!]+$", "").toLowerCase(Locale.ROOT));
  }
}
