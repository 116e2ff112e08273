/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.prompt;

import java.util.ArrayList;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.apache.flink.annotation.Internal;

/**
 * Which words a prompt has at which step, as AUTOMATIC1111's web UI reads them ({@code
 * get_learned_conditioning_prompt_schedules}): {@code [from:to:when]} is the one text up to a step
 * and then the other, {@code [to:when]} and {@code [from::when]} have nothing before or after it,
 * and {@code [one|other]} changes with each step. A {@code when} with a point is a share of all
 * steps, one without is a number of steps. All other brackets are left as they are, for {@link
 * Attention}.
 *
 * <p>A prompt with both is refused if some bracket has no other: the web UI's grammar reads such a
 * prompt in several ways, and which one it takes is no rule.
 */
@Internal
public final class Schedule {
  /**
   * The text of some steps.
   *
   * @param until the last step that has it, counted from 0
   */
  public record Stage(int until, String text) {}

  /** How many brackets may stand within each other. */
  static final int DEEPEST = 50;

  /** A prompt with alternatives has one text a step; that many are encoded, at most. */
  static final int MOST_STAGES = 100;

  private static final Pattern NUMBER =
      Pattern.compile("\\s*[+-]?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d+)?\\s*");

  private Schedule() {}

  /**
   * The texts of a prompt in the order of their steps.
   *
   * @param steps of the whole way, from 1
   * @return at least one; the last one's steps end with the way
   * @throws PromptSyntaxException if there are more than a hundred, or brackets are not balanced
   */
  public static List<Stage> of(String prompt, int steps) {
    List<Node> nodes;
    Parser parser = new Parser(prompt);
    try {
      nodes = parser.whole();
    } catch (NoSchedule e) {
      return List.of(new Stage(steps, prompt));
    }
    if (parser.unbalanced && nodes.stream().anyMatch(Node::changes)) {
      throw new PromptSyntaxException(
          "The prompt has texts that change with the steps, such as [from:to:0.5], and brackets"
              + " that are not balanced. Close each bracket, or write it as \\( or \\[.");
    }
    SortedSet<Integer> ends = new TreeSet<>();
    ends.add(steps);
    nodes.forEach(node -> node.collectEnds(steps, ends));
    if (ends.size() > MOST_STAGES) {
      throw new PromptSyntaxException(
          "The prompt has %d different texts over its steps; at most %d are accepted. Take fewer steps, or [from:to:when] instead of [one|other]."
              .formatted(ends.size(), MOST_STAGES));
    }
    List<Stage> stages = new ArrayList<>();
    for (int end : ends) {
      StringBuilder text = new StringBuilder();
      nodes.forEach(node -> node.write(end, steps, text));
      stages.add(new Stage(end, text.toString()));
    }
    return List.copyOf(stages);
  }

  /** The reference takes a prompt that its grammar does not describe as a plain one. */
  private static final class NoSchedule extends Exception {
    private static final long serialVersionUID = 1L;

    NoSchedule() {
      super(null, null, false, false);
    }
  }

  private sealed interface Node {
    /** Whether the text is another at another step. */
    default boolean changes() {
      return false;
    }

    /** Adds the steps after which the text changes. */
    default void collectEnds(int steps, SortedSet<Integer> ends) {}

    /** The text of the stage that ends with a step. */
    void write(int end, int steps, StringBuilder text);
  }

  private record Plain(String characters) implements Node {
    @Override
    public void write(int end, int steps, StringBuilder text) {
      text.append(characters);
    }
  }

  private record Sequence(List<Node> nodes) implements Node {
    @Override
    public boolean changes() {
      return nodes.stream().anyMatch(Node::changes);
    }

    @Override
    public void collectEnds(int steps, SortedSet<Integer> ends) {
      nodes.forEach(node -> node.collectEnds(steps, ends));
    }

    @Override
    public void write(int end, int steps, StringBuilder text) {
      nodes.forEach(node -> node.write(end, steps, text));
    }
  }

  private record Change(Node before, Node after, String when) implements Node {
    @Override
    public boolean changes() {
      return true;
    }

    private int step(int steps) {
      double value = Double.parseDouble(when);
      return (int) Math.min(steps, when.contains(".") ? value * steps : value);
    }

    @Override
    public void collectEnds(int steps, SortedSet<Integer> ends) {
      before.collectEnds(steps, ends);
      after.collectEnds(steps, ends);
      if (step(steps) >= 1) {
        ends.add(step(steps));
      }
    }

    @Override
    public void write(int end, int steps, StringBuilder text) {
      (end <= step(steps) ? before : after).write(end, steps, text);
    }
  }

  private record Alternate(List<Node> texts) implements Node {
    @Override
    public boolean changes() {
      return true;
    }

    @Override
    public void collectEnds(int steps, SortedSet<Integer> ends) {
      texts.forEach(node -> node.collectEnds(steps, ends));
      for (int step = 1; step <= steps; step++) {
        ends.add(step);
      }
    }

    @Override
    public void write(int end, int steps, StringBuilder text) {
      texts.get((end - 1) % texts.size()).write(end, steps, text);
    }
  }

  private static final class Parser {
    private final String prompt;
    private int at;
    private int depth;
    private boolean unbalanced;

    Parser(String prompt) {
      this.prompt = prompt;
    }

    /** What is no construct is its characters. */
    List<Node> whole() throws NoSchedule {
      List<Node> nodes = new ArrayList<>();
      while (at < prompt.length()) {
        int start = at;
        Node node = next();
        if (node == null) {
          if (prompt.charAt(start) == '|') {
            throw new NoSchedule();
          }
          unbalanced |= prompt.charAt(start) != ':';
          node = new Plain(prompt.substring(start, start + 1));
          at = start + 1;
        }
        nodes.add(node);
      }
      return nodes;
    }

    /** One construct, or null for a character that begins none. */
    private Node next() throws NoSchedule {
      char c = prompt.charAt(at);
      return switch (c) {
        case '(', '[' -> bracket(c);
        case ')', ']', ':', '|' -> null;
        default -> plain();
      };
    }

    private Node bracket(char c) throws NoSchedule {
      if (depth == DEEPEST) {
        throw new PromptSyntaxException(
            "The prompt has more than %d brackets within each other.".formatted(DEEPEST));
      }
      depth++;
      Node node = c == '(' ? round() : square();
      depth--;
      return node;
    }

    private Node plain() throws NoSchedule {
      int start = at;
      while (at < prompt.length() && "[]():|".indexOf(prompt.charAt(at)) < 0) {
        if (prompt.charAt(at) == '\\') {
          at++;
          if (at == prompt.length() || prompt.charAt(at) == '\n') {
            throw new NoSchedule();
          }
        }
        at++;
      }
      return new Plain(prompt.substring(start, at));
    }

    /** Constructs up to a character that begins none. */
    private Sequence prompt() throws NoSchedule {
      List<Node> nodes = new ArrayList<>();
      while (at < prompt.length()) {
        int start = at;
        Node node = next();
        if (node == null) {
          at = start;
          break;
        }
        nodes.add(node);
      }
      return new Sequence(nodes);
    }

    private boolean takes(char c) {
      if (at < prompt.length() && prompt.charAt(at) == c) {
        at++;
        return true;
      }
      return false;
    }

    private Node round() throws NoSchedule {
      at++;
      List<Node> nodes = new ArrayList<>(List.of(new Plain("("), prompt()));
      if (takes(':')) {
        nodes.add(new Plain(":"));
        nodes.add(prompt());
      }
      nodes.add(new Plain(")"));
      return takes(')') ? new Sequence(nodes) : null;
    }

    private Node square() throws NoSchedule {
      at++;
      List<Node> parts = new ArrayList<>();
      List<String> texts = new ArrayList<>();
      char separator = 0;
      while (true) {
        int start = at;
        parts.add(prompt());
        texts.add(prompt.substring(start, at));
        if (takes(']')) {
          break;
        }
        char next = at < prompt.length() ? prompt.charAt(at) : 0;
        if (next != ':' && next != '|' || separator != 0 && next != separator) {
          return null;
        }
        separator = next;
        at++;
      }
      if (separator == '|') {
        return new Alternate(parts);
      }
      int last = parts.size() - 1;
      if (last == 0) {
        return new Sequence(List.of(new Plain("["), parts.get(0), new Plain("]")));
      }
      if (last > 2 || !NUMBER.matcher(texts.get(last)).matches()) {
        return null;
      }
      Node nothing = new Sequence(List.of());
      return new Change(
          last == 2 ? parts.get(0) : nothing, parts.get(last - 1), texts.get(last).strip());
    }
  }
}
