/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.prompt;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.annotation.Internal;

/**
 * Finds what looks like a weight in a prompt. It is a guess, for hints: in a plain prompt such
 * characters are text.
 */
@Internal
public final class WeightMarks {
  private static final String NUMBER = "[+-]?(?:[0-9]+\\.?[0-9]*|\\.[0-9]+)";

  private static final Pattern MARK =
      Pattern.compile(
          // The web UI's: (word:1.3), ((word)), [from:to:0.5], <lora:name:0.8>
          "\\([^()]{1,100}:\\s*"
              + NUMBER
              + "\\s*\\)|\\(\\([^()]{1,100}\\)\\)|\\[[^\\[\\]]{0,100}:\\s*"
              + NUMBER
              + "\\s*\\]|<lora:[^<>]{1,100}>"
              // Compel's: (some words)1.3, word++, (some words)+, .and(), .blend()
              + "|\\([^()]{1,100}\\)(?:"
              + NUMBER
              + "|[+-]+(?=\\s|,|$)|\\.(?:and|blend)\\()|[\\w\"](?:\\+{2,}|-{2,})(?=\\s|,|$)");

  private WeightMarks() {}

  /** The first one, such as {@code (word:1.3)}. */
  public static Optional<String> first(String prompt) {
    Matcher matcher = MARK.matcher(prompt);
    return matcher.find() ? Optional.of(matcher.group()) : Optional.empty();
  }
}
