/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Where the demo's prompts come from: its arguments, a file with one a line, or the built-in list.
 */
final class Prompts {
  private static final String COMMENT = "#";

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
   * One prompt a line; blank lines and lines that start with {@code #} are left out.
   *
   * @throws DemoException when the file cannot be read or holds no prompt
   */
  static List<String> read(Path file) {
    List<String> prompts;
    try {
      prompts =
          Files.readAllLines(file).stream()
              .map(String::strip)
              .filter(line -> !line.isEmpty() && !line.startsWith(COMMENT))
              .toList();
    } catch (IOException e) {
      throw new DemoException(
          ("Cannot read the prompts in %s (%s); --prompts takes a text file in UTF-8 with one"
                  + " prompt on each line.")
              .formatted(file, e),
          e);
    }
    if (prompts.isEmpty()) {
      throw new DemoException("The file " + file + " holds no prompt; write one on each line.");
    }
    return prompts;
  }

  /**
   * Sixteen different emoji for mini-emoji: for each background colour one combination that it was
   * trained on and one that it has never seen.
   */
  static List<String> builtIn() {
    return BUILT_IN;
  }

  /** Whether this asks for a combination that was kept out of mini-emoji's training. */
  static boolean isHeldOut(String prompt) {
    return HELD_OUT.contains(prompt);
  }
}
