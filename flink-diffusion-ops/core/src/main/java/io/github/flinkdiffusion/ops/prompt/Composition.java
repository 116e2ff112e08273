/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.prompt;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.annotation.Internal;

/**
 * Several prompts in one, as AUTOMATIC1111's web UI reads them ({@code get_multicond_prompt_list}):
 * {@code a cat :1.2 AND a dog}. Guidance leads to each of them by its weight (section 4 of Liu et
 * al. 2022, conjunction).
 */
@Internal
public final class Composition {
  /** Each is a row of every network call. */
  static final int MOST = 8;

  private static final Pattern AND = Pattern.compile("\\bAND\\b", Pattern.UNICODE_CHARACTER_CLASS);
  private static final Pattern WEIGHT =
      Pattern.compile(
          "\\s*:\\s*([-+]?(?:[0-9]+\\.?|[0-9]*\\.[0-9]+))\\s*$", Pattern.UNICODE_CHARACTER_CLASS);

  private Composition() {}

  /**
   * The prompts of a text, each with its weight.
   *
   * @throws PromptSyntaxException if there are more than eight
   */
  public static List<WeightedText> split(String text) {
    String[] texts = AND.split(text, -1);
    if (texts.length > MOST) {
      throw new PromptSyntaxException(
          "The prompt combines %d prompts with AND; at most %d are accepted."
              .formatted(texts.length, MOST));
    }
    List<WeightedText> prompts = new ArrayList<>();
    for (String each : texts) {
      Matcher weight = WEIGHT.matcher(each);
      prompts.add(
          weight.find()
              ? new WeightedText(
                  each.substring(0, weight.start()), Double.parseDouble(weight.group(1)))
              : new WeightedText(each.stripTrailing(), 1));
    }
    return List.copyOf(prompts);
  }
}
