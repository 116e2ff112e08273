/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The beam search of diffusers' UniDiffuserTextDecoder ({@code generate_beam}): beams are compared
 * by the mean of their tokens' logarithmic probabilities, and one that has ended stays as it is as
 * long as it is among the best. Pure.
 *
 * @param beams {@code beam_size}
 * @param most tokens of a text ({@code entry_length})
 * @param end the token that ends a text
 */
record AverageBeams(int beams, int most, int end) {

  /**
   * One text of several under way.
   *
   * @param tokens of all beams as many; behind the end token of one that has ended they mean
   *     nothing
   * @param score sum of the tokens' logarithmic probabilities
   * @param length tokens up to the end token, which counts
   * @param ended whether it has one
   */
  record Beam(int[] tokens, float score, int length, boolean ended) {
    private float mean() {
      return score / length;
    }
  }

  /** A continuation of a beam. */
  private record Candidate(int beam, int token, float mean) {}

  /** Before the first token there is one beam, without any. */
  static List<Beam> begin() {
    return List.of(new Beam(new int[0], 0, 0, false));
  }

  static int length(List<Beam> state) {
    return state.get(0).tokens().length;
  }

  boolean over(List<Beam> state) {
    return length(state) == most || state.stream().allMatch(Beam::ended);
  }

  /**
   * One token more.
   *
   * @param logits of the next token, one row for each beam that has not ended, in order
   */
  List<Beam> next(List<Beam> state, float[] logits, int offset, int vocabulary) {
    List<Candidate> best = new ArrayList<>();
    int row = offset;
    for (int i = 0; i < state.size(); i++) {
      Beam beam = state.get(i);
      if (beam.ended()) {
        offer(best, new Candidate(i, 0, beam.mean()));
        continue;
      }
      double norm = logOfSum(logits, row, vocabulary);
      for (int token = 0; token < vocabulary; token++) {
        float score = beam.score() + (float) (logits[row + token] - norm);
        offer(best, new Candidate(i, token, score / (beam.length() + 1)));
      }
      row += vocabulary;
    }
    List<Beam> next = new ArrayList<>();
    for (Candidate each : best) {
      Beam beam = state.get(each.beam());
      int[] tokens = Arrays.copyOf(beam.tokens(), beam.tokens().length + 1);
      tokens[tokens.length - 1] = each.token();
      int length = beam.ended() ? beam.length() : beam.length() + 1;
      next.add(new Beam(tokens, each.mean() * length, length, beam.ended() || each.token() == end));
    }
    return List.copyOf(next);
  }

  /** The best ones stay, best first; of equal ones the earlier. */
  private void offer(List<Candidate> best, Candidate candidate) {
    if (best.size() == beams) {
      if (candidate.mean() <= best.get(beams - 1).mean()) {
        return;
      }
      best.remove(beams - 1);
    }
    int at = best.size();
    while (at > 0 && best.get(at - 1).mean() < candidate.mean()) {
      at--;
    }
    best.add(at, candidate);
  }

  private static double logOfSum(float[] logits, int from, int count) {
    double greatest = Double.NEGATIVE_INFINITY;
    for (int i = from; i < from + count; i++) {
      greatest = Math.max(greatest, logits[i]);
    }
    double sum = 0;
    for (int i = from; i < from + count; i++) {
      sum += Math.exp(logits[i] - greatest);
    }
    return greatest + Math.log(sum);
  }

  /** The tokens of the best text, its end token among them if it has one. */
  static Beam result(List<Beam> state) {
    Beam best = state.get(0);
    for (Beam beam : state) {
      best = beam.mean() > best.mean() ? beam : best;
    }
    return best;
  }

  // ------------------------------------------------------------------ at rest

  /** Numbers that {@link #save} gives. */
  int savedSize() {
    return 1 + beams * (3 + most);
  }

  /**
   * A state as numbers, always as many; zeros before the first token. Token ids are below 2^24, so
   * a float32 holds them.
   */
  void save(List<Beam> state, float[] target, int offset) {
    int length = length(state);
    target[offset] = length;
    if (length == 0) {
      return;
    }
    for (int i = 0; i < beams; i++) {
      Beam beam = state.get(i);
      int at = offset + 1 + i * (3 + most);
      target[at] = beam.score();
      target[at + 1] = beam.length();
      target[at + 2] = beam.ended() ? 1 : 0;
      for (int j = 0; j < length; j++) {
        target[at + 3 + j] = beam.tokens()[j];
      }
    }
  }

  /**
   * The state of numbers that {@link #save} gave.
   *
   * @return null for numbers that are none
   */
  List<Beam> restore(float[] saved, int offset) {
    int length = (int) saved[offset];
    if (length < 0 || length > most) {
      return null;
    }
    if (length == 0) {
      return begin();
    }
    List<Beam> state = new ArrayList<>();
    for (int i = 0; i < beams; i++) {
      int at = offset + 1 + i * (3 + most);
      int[] tokens = new int[length];
      for (int j = 0; j < length; j++) {
        tokens[j] = (int) saved[at + 3 + j];
      }
      int own = (int) saved[at + 1];
      if (own < 1 || own > length) {
        return null;
      }
      state.add(new Beam(tokens, saved[at], own, saved[at + 2] != 0));
    }
    return List.copyOf(state);
  }
}
