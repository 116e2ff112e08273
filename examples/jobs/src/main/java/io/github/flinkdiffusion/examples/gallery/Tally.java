/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import io.github.flinkdiffusion.connector.event.VoteChoice;
import io.github.flinkdiffusion.connector.event.VoteEvent;
import io.github.flinkdiffusion.connector.event.VoteSubject;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Votes counted by criterion and by what was compared: models, and images that are real. Not for
 * use by several threads.
 */
final class Tally {
  /** Combinations that are counted; votes on more of them are in the topic, and not here. */
  private static final int MOST = 500;

  /**
   * A line: how often the one was found better than the other.
   *
   * @param one name of a model, or {@code real}
   * @param same whether both are of one model, so that better or not says nothing of it
   */
  record Row(
      String criterion, String one, String other, boolean same, int better, int ties, int worse) {}

  private final Map<String, Row> rows = new TreeMap<>();

  void add(VoteEvent vote) {
    if (vote.getChoice() == VoteChoice.UNKNOWN) {
      return;
    }
    String first = name(vote.getFirst());
    String second = name(vote.getSecond());
    boolean turned = turned(first, second);
    String one = turned ? second : first;
    String other = turned ? first : second;
    boolean tie = vote.getChoice() == VoteChoice.TIE;
    boolean oneIsBetter = (vote.getChoice() == VoteChoice.FIRST) != turned;
    String criterion = vote.getCriterion().toString();
    String key = criterion + '\n' + one + '\n' + other;
    Row row = rows.get(key);
    if (row == null) {
      if (rows.size() >= MOST) {
        return;
      }
      row = new Row(criterion, one, other, one.equals(other), 0, 0, 0);
    }
    rows.put(
        key,
        new Row(
            criterion,
            one,
            other,
            row.same,
            row.better + (!tie && oneIsBetter ? 1 : 0),
            row.ties + (tie ? 1 : 0),
            row.worse + (!tie && !oneIsBetter ? 1 : 0)));
  }

  /** Models before what is real, in the order of their names. */
  private static boolean turned(String first, String second) {
    if (first.equals("real") != second.equals("real")) {
      return first.equals("real");
    }
    return first.compareTo(second) > 0;
  }

  private static String name(VoteSubject subject) {
    return subject.getReal() ? "real" : subject.getModel();
  }

  List<Row> rows() {
    return new ArrayList<>(rows.values());
  }
}
