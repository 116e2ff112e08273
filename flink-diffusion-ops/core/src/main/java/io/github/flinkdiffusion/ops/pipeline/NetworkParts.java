/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.network.CachingNetwork;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.function.UnaryOperator;

/**
 * The parts of a network that not all rows go through: a call in which none does is one of another
 * method, which gives the same and costs less.
 *
 * @param choice what to call where these are open, given by their numbers in order
 */
record NetworkParts(List<Part> parts, Function<List<Integer>, Choice> choice) {
  /**
   * A part of the network that not all rows go through.
   *
   * @param first of the inputs that it takes
   * @param end after the last of them, which is its gate: the part is left out of a call in which
   *     that is 0 in all rows
   */
  record Part(int first, int end) {}

  /**
   * What is called.
   *
   * @param method of the network
   * @param parts numbers of those whose inputs it takes
   */
  record Choice(String method, List<Integer> parts) {}

  static final Choice WHOLE = new Choice(CachingNetwork.FORWARD, List.of());
  static final NetworkParts NONE = new NetworkParts(List.of(), open -> WHOLE);

  /** What to call for some rows. */
  Choice of(List<Row> rows) {
    List<Integer> open = new ArrayList<>();
    for (int i = 0; i < parts.size(); i++) {
      int gate = parts.get(i).end() - 1;
      if (rows.stream().anyMatch(row -> opens((float[]) row.inputs().get(gate)))) {
        open.add(i);
      }
    }
    return choice.apply(open);
  }

  private static boolean opens(float[] gate) {
    for (float value : gate) {
      if (value != 0) {
        return true;
      }
    }
    return false;
  }

  boolean isLeftOut(int input, Choice choice) {
    for (int i = 0; i < parts.size(); i++) {
      if (input >= parts.get(i).first() && input < parts.get(i).end()) {
        return !choice.parts().contains(i);
      }
    }
    return false;
  }

  /**
   * One part.
   *
   * @param count how many of a network's {@code inputs} there are without it
   * @param method called for rows that do not go through it
   */
  static NetworkParts gated(int count, int inputs, String method) {
    return new NetworkParts(
        List.of(new Part(count, inputs)),
        open -> new Choice(open.isEmpty() ? method : CachingNetwork.FORWARD, open));
  }

  /** One part more. */
  NetworkParts and(Part more, UnaryOperator<String> method) {
    int added = parts.size();
    List<Part> all = new ArrayList<>(parts);
    all.add(more);
    return new NetworkParts(all, open -> choice(open, added, method));
  }

  private Choice choice(List<Integer> open, int added, UnaryOperator<String> method) {
    Choice rest = choice.apply(open.stream().filter(part -> part != added).toList());
    if (!open.contains(added)) {
      return rest;
    }
    List<Integer> called = new ArrayList<>(rest.parts());
    called.add(added);
    return new Choice(method.apply(rest.method()), called);
  }
}
