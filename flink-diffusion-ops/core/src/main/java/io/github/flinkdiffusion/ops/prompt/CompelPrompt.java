/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.prompt;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.apache.flink.annotation.Internal;

/**
 * A prompt as the Python library Compel reads it ({@code PromptParser} of Compel 2.5):
 *
 * <ul>
 *   <li>{@code word+} counts 1.1 times as much, {@code word--} 0.81 times, {@code (some words)1.3}
 *       1.3 times; brackets in brackets multiply;
 *   <li>{@code ("a cat", "a tree").and(1, 0.5)} encodes texts separately, each with a weight;
 *   <li>{@code ("a cat", "a dog").blend(1, 0.5)} is a mean of the texts' encodings;
 *   <li>a backslash before a bracket or a quote makes it the character itself.
 * </ul>
 *
 * @param parts whose encodings stand one behind the other
 */
@Internal
public record CompelPrompt(List<Part> parts) {
  /** Of one prompt; each is encoded by itself. */
  static final int MOST = 16;

  /**
   * One encoding.
   *
   * @param weight of it, against that of an empty text
   * @param texts what is blended: one for a part that is no blend
   * @param shares of the texts
   * @param normalized whether the shares are divided by their sum
   */
  public record Part(
      double weight, List<List<WeightedText>> texts, List<Double> shares, boolean normalized) {
    public Part {
      texts = texts.stream().map(List::copyOf).toList();
      shares = List.copyOf(shares);
    }

    static Part of(double weight, List<WeightedText> text) {
      return new Part(weight, List.of(text), List.of(1.0), true);
    }
  }

  private static final Pattern COMMA = Pattern.compile(",(\\S)", Pattern.UNICODE_CHARACTER_CLASS);

  public CompelPrompt {
    parts = List.copyOf(parts);
  }

  /**
   * @throws PromptSyntaxException for what the library refuses, and for {@code .swap} and {@code
   *     withLora}, which it does not do by encoding a text
   */
  public static CompelPrompt parse(String prompt) {
    String text = COMMA.matcher(prompt).replaceAll(", $1");
    if (text.isBlank()) {
      return new CompelPrompt(List.of(Part.of(1, List.of(new WeightedText("", 1)))));
    }
    CompelGrammar.Tree tree = new CompelGrammar(text).whole();
    List<Part> parts = new ArrayList<>();
    for (int i = 0; i < tree.prompts().size(); i++) {
      double weight = tree.weights().get(i);
      CompelGrammar.Node node = tree.prompts().get(i);
      if (node instanceof CompelGrammar.Blend blend) {
        parts.add(
            new Part(
                weight,
                blend.prompts().stream().map(CompelPrompt::joined).toList(),
                blend.weights(),
                blend.normalized()));
      } else {
        List<WeightedText> joined = joined(((CompelGrammar.Sequence) node).nodes());
        if (!joined.isEmpty()) {
          parts.add(Part.of(weight, joined));
        }
      }
    }
    boolean empty = parts.stream().anyMatch(part -> part.texts().stream().anyMatch(List::isEmpty));
    if (parts.isEmpty() || empty) {
      throw new PromptSyntaxException(
          "The prompt has brackets without a text. Write a word in them, or leave them out.");
    }
    if (parts.stream().mapToInt(part -> part.texts().size()).sum() > MOST) {
      throw new PromptSyntaxException(
          "The prompt combines more than %d texts with .and and .blend.".formatted(MOST));
    }
    return new CompelPrompt(parts);
  }

  /** Neighbors of one weight are one text, with a space between them. */
  private static List<WeightedText> joined(List<CompelGrammar.Node> nodes) {
    List<WeightedText> all = new ArrayList<>();
    flatten(nodes, 1, all);
    List<WeightedText> joined = new ArrayList<>();
    for (WeightedText each : all) {
      int last = joined.size() - 1;
      if (last >= 0 && joined.get(last).weight() == each.weight()) {
        joined.set(last, weighted(joined.get(last).text() + " " + each.text(), each.weight()));
      } else {
        joined.add(each);
      }
    }
    return joined;
  }

  private static void flatten(
      List<CompelGrammar.Node> nodes, double scale, List<WeightedText> target) {
    for (CompelGrammar.Node node : nodes) {
      if (node instanceof CompelGrammar.Text text) {
        target.add(weighted(text.text(), scale));
      } else if (node instanceof CompelGrammar.Attention attention) {
        flatten(attention.nodes(), scale * attention.weight(), target);
      } else if (node instanceof CompelGrammar.Sequence sequence) {
        flatten(sequence.nodes(), scale, target);
      } else if (node instanceof CompelGrammar.Other other) {
        throw new PromptSyntaxException(
            "The prompt has %s(...), which is not supported. %s"
                .formatted(
                    other.name(),
                    other.name().equals(CompelGrammar.SWAP)
                        ? "Write the text that the image should have."
                        : "Name LoRAs in the parameter loras."));
      } else {
        throw new PromptSyntaxException(
            "The prompt has a .blend within another one; only .and may have several.");
      }
    }
  }

  /** The reference reads backslashes each time that it makes a text. */
  private static WeightedText weighted(String text, double weight) {
    return new WeightedText(CompelGrammar.Text.unescaped(text), weight);
  }
}
