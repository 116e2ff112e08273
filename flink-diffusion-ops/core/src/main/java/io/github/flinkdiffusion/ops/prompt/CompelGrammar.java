/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.prompt;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The grammar of Compel's prompts: of several readings of a place the first one counts, and what a
 * repetition has read it does not give back.
 *
 * <p>One class, because each rule calls the others on the same text.
 */
final class CompelGrammar {
  static final String SWAP = ".swap";

  private static final double PLUS = 1.1;
  private static final double MINUS = 0.9;

  /** How many brackets may stand within each other. */
  static final int DEEPEST = 50;

  /** A part of a prompt. */
  sealed interface Node permits Text, Attention, Sequence, Blend, Other {}

  record Text(String text) implements Node {
    /** What is written with a backslash before it. */
    static Text of(String written) {
      return new Text(unescaped(written));
    }

    static String unescaped(String written) {
      return written.replace("\\(", "(").replace("\\)", ")").replace("\\\"", "\"");
    }
  }

  record Attention(double weight, List<Node> nodes) implements Node {}

  record Sequence(List<Node> nodes) implements Node {}

  record Blend(List<List<Node>> prompts, List<Double> weights, boolean normalized)
      implements Node {}

  /** What is read and then refused. */
  record Other(String name) implements Node {}

  /**
   * A whole prompt.
   *
   * @param prompts each a {@link Sequence} or a {@link Blend}
   */
  record Tree(List<Node> prompts, List<Double> weights) {}

  /** What was read, and where it ends. */
  private record Read(List<Node> nodes, int end) {}

  private static final Pattern QUOTED = Pattern.compile("\"((?:\\\\\"|[^\"\\n\\r])*)\"");
  private static final Pattern SIGNS = Pattern.compile("\\++|-+");
  private static final Pattern NUMBER =
      Pattern.compile("[+-]?(?:[0-9]+\\.[0-9]*|\\.[0-9]+)|-?[0-9]+");
  private static final Pattern KEYWORD = Pattern.compile("[A-Za-z0-9_-]+");

  private final String text;
  private final CompelCharacters characters;

  /** By place; a rule that does not read there is empty. */
  private final Map<Integer, Optional<Read>> brackets = new HashMap<>();

  private final Map<Integer, Optional<Read>> quotes = new HashMap<>();
  private final Map<Integer, Optional<Read>> words = new HashMap<>();
  private int depth;

  CompelGrammar(String text) {
    this.text = text;
    this.characters = new CompelCharacters(text);
  }

  /**
   * @throws PromptSyntaxException for a text that has no reading
   */
  Tree whole() {
    Operator and = operator(0, ".and", ".add");
    if (and != null) {
      requireEnd(and.end, and);
      List<Node> prompts = new ArrayList<>();
      and.prompts.forEach(each -> prompts.add(new Sequence(each)));
      return new Tree(prompts, weights(and, and.options));
    }
    int at = afterLoras(0);
    boolean loras = at > 0;
    Operator blend = operator(at, ".blend");
    Node node;
    if (blend != null) {
      int end = afterLoras(blend.end);
      loras |= end > blend.end;
      requireEnd(end, blend);
      List<String> options = blend.options;
      boolean plain = !options.isEmpty() && options.get(options.size() - 1).equals("no_normalize");
      node =
          new Blend(
              blend.prompts,
              weights(blend, plain ? options.subList(0, options.size() - 1) : options),
              !plain);
    } else {
      Read read = prompt(at);
      int end = afterLoras(read.end);
      loras |= end > read.end;
      if (!ended(end)) {
        throw new PromptSyntaxException(
            "The prompt cannot be read as Compel does, from '%s' on."
                .formatted(shown(text.substring(end))));
      }
      node = new Sequence(read.nodes);
    }
    if (loras) {
      node = new Sequence(List.of(new Other("withLora")));
    }
    return new Tree(List.of(node), List.of(1.0));
  }

  private void requireEnd(int at, Operator operator) {
    if (!ended(at)) {
      throw new PromptSyntaxException(
          "The prompt has '%s' behind %s(...); nothing may follow it."
              .formatted(shown(text.substring(at).strip()), operator.name));
    }
  }

  private static String shown(String rest) {
    return rest.length() > 20 ? rest.substring(0, 20) + "..." : rest;
  }

  private boolean ended(int at) {
    return characters.skipped(at) == text.length();
  }

  private int afterLoras(int at) {
    int end = at;
    for (Read lora = lora(end); lora != null; lora = lora(end)) {
      end = lora.end;
    }
    return end;
  }

  // ------------------------------------------------------------------ operators of whole prompts

  private record Operator(String name, List<List<Node>> prompts, List<String> options, int end) {}

  /** {@code (a, b).name(options)}, or null. */
  private Operator operator(int at, String... names) {
    int next = characters.literal(at, "(");
    if (next < 0) {
      return null;
    }
    List<List<Node>> prompts = new ArrayList<>();
    do {
      Read target = target(next);
      target = target == null ? quotedPrompt(next) : target;
      if (target == null) {
        if (prompts.isEmpty()) {
          return null;
        }
        break;
      }
      prompts.add(target.nodes);
      next = target.end;
      int comma = characters.literal(next, ",");
      if (comma < 0) {
        break;
      }
      // A comma without a text behind it is none of the list.
      if (target(comma) == null && quotedPrompt(comma) == null) {
        break;
      }
      next = comma;
    } while (true);
    next = characters.literal(next, ")");
    if (next < 0) {
      return null;
    }
    for (String name : names) {
      int called = characters.literal(characters.literal(next, name), "(");
      if (called >= 0) {
        List<String> options = new ArrayList<>();
        int end = characters.literal(options(called, options), ")");
        return end < 0 ? null : new Operator(name, prompts, options, end);
      }
    }
    return null;
  }

  /** Values of options, each as it is written: one that has a name is its name. */
  private int options(int at, List<String> target) {
    int end = at;
    int next = at;
    while (true) {
      int start = characters.skipped(next);
      int keyword = characters.match(KEYWORD, start);
      int equals = keyword < 0 ? -1 : characters.literal(keyword, "=");
      int value = equals < 0 ? -1 : characters.match(NUMBER, characters.skipped(equals));
      value =
          equals >= 0 && value < 0 ? characters.match(KEYWORD, characters.skipped(equals)) : value;
      int number = characters.match(NUMBER, start);
      if (value >= 0) {
        target.add(text.substring(start, keyword));
        end = value;
      } else if (number >= 0) {
        target.add(text.substring(start, number));
        end = number;
      } else if (keyword >= 0) {
        target.add(text.substring(start, keyword));
        end = keyword;
      } else {
        return end;
      }
      next = characters.literal(end, ",");
      if (next < 0) {
        return end;
      }
    }
  }

  private static List<Double> weights(Operator operator, List<String> written) {
    int size = operator.prompts.size();
    if (written.isEmpty()) {
      return Collections.nCopies(size, 1.0);
    }
    List<Double> weights = new ArrayList<>();
    for (String each : written) {
      if (!NUMBER.matcher(each).matches()) {
        throw new PromptSyntaxException(
            "The prompt has '%s' in %s(...); accepted are numbers, one for each text."
                .formatted(shown(each), operator.name));
      }
      weights.add(Double.parseDouble(each));
    }
    if (weights.size() != size) {
      throw new PromptSyntaxException(
          "The prompt has %d texts and %d weights in %s(...); write one for each text, or none."
              .formatted(size, weights.size(), operator.name));
    }
    return weights;
  }

  // ------------------------------------------------------------------ prompts and what is in them

  /** Words with anything in them, and what has a meaning. */
  private Read prompt(int at) {
    List<Node> nodes = new ArrayList<>();
    int end = at;
    while (true) {
      Read read = swap(end);
      read = read == null ? lora(end) : read;
      read = read == null ? attention(end) : read;
      read = read == null ? quoted(end) : read;
      read = read == null ? bracket(end) : read;
      read = read == null ? freeWord(end) : read;
      if (read == null) {
        int spaces = characters.skipped(end);
        if (spaces == end) {
          return new Read(nodes, end);
        }
        end = spaces;
        continue;
      }
      nodes.addAll(read.nodes);
      end = read.end;
    }
  }

  private Read fragment(int at, boolean withPunctuation) {
    List<Node> nodes = new ArrayList<>();
    int end = at;
    while (true) {
      Read read = lora(end);
      read = read == null ? attention(end) : read;
      read = read == null ? swap(end) : read;
      read = read == null ? bracket(end) : read;
      read = read == null ? quoted(end) : read;
      read = read == null ? word(end) : read;
      if (read == null && withPunctuation) {
        int start = characters.skipped(end);
        if (start < text.length() && (text.charAt(start) == ',' || text.charAt(start) == '.')) {
          read = new Read(List.of(new Text(text.substring(start, start + 1))), start + 1);
        }
      }
      if (read == null) {
        return new Read(nodes, end);
      }
      nodes.addAll(read.nodes);
      end = read.end;
    }
  }

  private Read attention(int at) {
    Read target = target(at);
    if (target != null) {
      int called = characters.literal(characters.literal(target.end, ".attend"), "(");
      int start = called < 0 ? -1 : characters.skipped(called);
      int end = weightEnd(start);
      int closed = characters.literal(end, ")");
      if (closed >= 0) {
        return attention(target, weight(text.substring(start, end)), closed);
      }
    }
    Read group = quoted(at);
    group = group == null ? bracket(at) : group;
    int end = group == null ? -1 : weightEnd(group.end);
    if (end >= 0) {
      return attention(group, weight(text.substring(group.end, end)), end);
    }
    Read word = word(at);
    end = word == null ? -1 : characters.match(SIGNS, word.end);
    return end < 0 ? null : attention(word, weight(text.substring(word.end, end)), end);
  }

  private static Read attention(Read target, double weight, int end) {
    return new Read(List.of(new Attention(weight, target.nodes)), end);
  }

  private int weightEnd(int at) {
    int signs = characters.match(SIGNS, at);
    return signs >= 0 ? signs : characters.match(NUMBER, at);
  }

  private static double weight(String written) {
    if (SIGNS.matcher(written).matches()) {
      return Math.pow(written.charAt(0) == '+' ? PLUS : MINUS, written.length());
    }
    return Double.parseDouble(written);
  }

  private Read swap(int at) {
    Read target = target(at);
    int called =
        target == null ? -1 : characters.literal(characters.literal(target.end, SWAP), "(");
    if (called < 0) {
      return null;
    }
    int next = fragment(called, false).end;
    int comma = characters.literal(next, ",");
    int end = characters.literal(comma < 0 ? next : options(comma, new ArrayList<>()), ")");
    return end < 0 ? null : new Read(List.of(new Other(SWAP)), end);
  }

  private Read lora(int at) {
    for (String name : List.of("useLora", "withLora")) {
      int called = characters.literal(characters.literal(at, name), "(");
      int keyword = called < 0 ? -1 : characters.match(KEYWORD, characters.skipped(called));
      int comma = characters.literal(keyword, ",");
      int number = comma < 0 ? -1 : characters.match(NUMBER, characters.skipped(comma));
      int end = characters.literal(number < 0 ? keyword : number, ")");
      if (end >= 0) {
        return new Read(List.of(new Other(name)), end);
      }
    }
    return null;
  }

  private Read target(int at) {
    Read read = quoted(at);
    read = read == null ? bracket(at) : read;
    return read == null ? word(at) : read;
  }

  private Read bracket(int at) {
    return known(
        brackets,
        at,
        () -> {
          int open = characters.literal(at, "(");
          if (open < 0) {
            return null;
          }
          if (++depth > DEEPEST) {
            throw new PromptSyntaxException(
                "The prompt has brackets within each other more than %d deep.".formatted(DEEPEST));
          }
          Read inner = fragment(open, true);
          depth--;
          int end = characters.literal(inner.end, ")");
          return end < 0 ? null : new Read(inner.nodes, end);
        });
  }

  private Read quoted(int at) {
    return known(quotes, at, () -> quoted(at, grammar -> grammar.fragment(0, true)));
  }

  private Read quotedPrompt(int at) {
    return quoted(at, grammar -> grammar.prompt(0));
  }

  private interface Rule {
    Read read(CompelGrammar grammar);
  }

  /** A text within quotes, which has its own grammar to the end. */
  private Read quoted(int at, Rule rule) {
    Matcher matcher = QUOTED.matcher(text);
    matcher.region(characters.skipped(at), text.length());
    if (!matcher.lookingAt()) {
      return null;
    }
    String inner = matcher.group(1);
    if (inner.isBlank()) {
      return new Read(List.of(new Text("")), matcher.end());
    }
    CompelGrammar grammar = new CompelGrammar(inner.replace("\\\"", "\"").replace("\"", "\\\""));
    grammar.depth = depth;
    Read read = rule.read(grammar);
    return grammar.ended(read.end) ? new Read(read.nodes, matcher.end()) : null;
  }

  /** A word without anything that has a meaning. */
  private Read word(int at) {
    return known(
        words,
        at,
        () -> {
          int start = characters.skipped(at);
          int end = characters.wordEnd(start);
          return end == start ? null : new Read(List.of(Text.of(text.substring(start, end))), end);
        });
  }

  private Read freeWord(int at) {
    int end = characters.freeWordEnd(at);
    return end == at ? null : new Read(List.of(Text.of(text.substring(at, end))), end);
  }

  private static Read known(Map<Integer, Optional<Read>> results, int at, Supplier<Read> rule) {
    Optional<Read> known = results.get(at);
    if (known == null) {
      known = Optional.ofNullable(rule.get());
      results.put(at, known);
    }
    return known.orElse(null);
  }
}
