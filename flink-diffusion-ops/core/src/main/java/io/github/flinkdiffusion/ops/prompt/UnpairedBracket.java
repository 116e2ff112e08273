/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.prompt;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * Finds a bracket of a weighted prompt that has no partner. Such a prompt is read as the language's
 * reference reads it, which may not be what its author meant; hence this is for hints.
 */
@Internal
public final class UnpairedBracket {
  private static final int MOST_SHOWN = 20;

  private UnpairedBracket() {}

  /**
   * The prompt from its first bracket without a partner on, shortened.
   *
   * @return empty where all have one, and in a plain prompt, whose brackets are characters
   */
  public static Optional<String> first(String prompt, PromptLanguage language) {
    return switch (language) {
      case PLAIN -> Optional.empty();
      case A1111 -> earlier(first(prompt, '(', ')'), first(prompt, '[', ']'), prompt);
      case COMPEL -> earlier(first(prompt, '(', ')'), prompt.length(), prompt);
    };
  }

  private static Optional<String> earlier(int one, int other, String prompt) {
    int at = Math.min(one, other);
    if (at == prompt.length()) {
      return Optional.empty();
    }
    String rest = prompt.substring(at);
    return Optional.of(rest.length() > MOST_SHOWN ? rest.substring(0, MOST_SHOWN) + "..." : rest);
  }

  /** The prompt's length where there is none. */
  private static int first(String prompt, char opening, char closing) {
    Deque<Integer> open = new ArrayDeque<>();
    for (int i = 0; i < prompt.length(); i++) {
      char c = prompt.charAt(i);
      if (c == '\\') {
        i++;
      } else if (c == opening) {
        open.addLast(i);
      } else if (c == closing && open.pollLast() == null) {
        return i;
      }
    }
    return open.isEmpty() ? prompt.length() : open.getFirst();
  }
}
