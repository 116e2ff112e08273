/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/**
 * How the next tokens of a text are chosen from a network's scores: greedily, by beam search, or by
 * sampling. Pure; the results of the first two are those of transformers 5's {@code generate}.
 *
 * @param beams {@code num_beams}, from 1; 1 is greedy, or sampling
 * @param maxNewTokens tokens after the prompt, from 1
 * @param end the token that ends a text
 * @param lengthPenalty {@code length_penalty}: a finished beam's score is over its length to this
 * @param sampling how tokens are drawn; null draws none
 */
record TextDecoding(int beams, int maxNewTokens, int end, double lengthPenalty, Sampling sampling) {
  /** What transformers takes for minus infinity. */
  private static final float NEVER = -1e9f;

  /** Odd; the golden ratio, as SplitMix64 has it (Steele, Lea and Flood 2014). */
  private static final long STEP = 0x9E3779B97F4A7C15L;

  /**
   * How a token is drawn. The draw is a function of the seed and of the token's place, so it is the
   * same after a restart and in any batch; it is not torch's.
   *
   * @param temperature scores are divided by it; above 0
   * @param topK of how many of the best tokens one is drawn; 0 is all
   * @param topP of the fewest best tokens whose probabilities add up to this; 1 is all
   */
  record Sampling(long seed, double temperature, int topK, double topP) {}

  /**
   * What decoding has come to. All texts that still run have as many tokens.
   *
   * @param tokens after the prompt, of each beam that runs
   * @param scores of each of them, the sum of the tokens' logarithmic probabilities
   * @param finished the best texts that have ended, best first; null where there is none yet
   * @param finishedScores of each of them
   * @param over whether no more tokens are wanted
   * @param parents which beam of the state before each of them goes on; not saved
   */
  record State(
      int[][] tokens,
      float[] scores,
      int[][] finished,
      float[] finishedScores,
      boolean over,
      int[] parents) {

    /** Tokens of each beam that runs. */
    int length() {
      return tokens[0].length;
    }
  }

  State begin() {
    float[] scores = new float[beams];
    Arrays.fill(scores, 1, beams, NEVER);
    float[] finishedScores = new float[beams];
    Arrays.fill(finishedScores, NEVER);
    return new State(
        new int[beams][0], scores, new int[beams][], finishedScores, false, new int[beams]);
  }

  /**
   * One token more.
   *
   * @param logits of the next token, one row a beam, from {@code offset} on
   */
  State next(State state, float[] logits, int offset, int vocabulary) {
    return beams == 1
        ? oneMore(state, logits, offset, vocabulary)
        : bestBeams(state, logits, offset, vocabulary);
  }

  /** The tokens of the best text; its end token is the last one if it has ended by itself. */
  int[] result(State state) {
    return beams > 1 && state.finished()[0] != null ? state.finished()[0] : state.tokens()[0];
  }

  // ------------------------------------------------------------------ one text

  private State oneMore(State state, float[] logits, int offset, int vocabulary) {
    int token =
        sampling == null
            ? best(logits, offset, vocabulary)
            : drawn(logits, offset, vocabulary, state.length());
    int[] tokens = with(state.tokens()[0], token);
    return new State(
        new int[][] {tokens},
        state.scores(),
        state.finished(),
        state.finishedScores(),
        token == end || tokens.length == maxNewTokens,
        new int[1]);
  }

  private static int best(float[] logits, int offset, int vocabulary) {
    int best = 0;
    for (int i = 1; i < vocabulary; i++) {
      if (logits[offset + i] > logits[offset + best]) {
        best = i;
      }
    }
    return best;
  }

  private int drawn(float[] logits, int offset, int vocabulary, int place) {
    List<Integer> order = new ArrayList<>(vocabulary);
    for (int i = 0; i < vocabulary; i++) {
      order.add(i);
    }
    order.sort(Comparator.comparingDouble(i -> -logits[offset + i]));
    int kept = sampling.topK() == 0 ? vocabulary : Math.min(vocabulary, sampling.topK());
    double[] weights = new double[kept];
    double sum = 0;
    for (int i = 0; i < kept; i++) {
      double above = logits[offset + order.get(i)] - logits[offset + order.get(0)];
      weights[i] = Math.exp(above / sampling.temperature());
      sum += weights[i];
    }
    if (sampling.topP() < 1) {
      double reached = 0;
      int few = 0;
      while (few < kept && reached < sampling.topP() * sum) {
        reached += weights[few++];
      }
      kept = Math.max(1, few);
      sum = reached;
    }
    double at = uniform(sampling.seed(), place) * sum;
    for (int i = 0; i < kept; i++) {
      at -= weights[i];
      if (at < 0) {
        return order.get(i);
      }
    }
    return order.get(kept - 1);
  }

  /** SplitMix64's number at a place, in [0,1). */
  private static double uniform(long seed, int place) {
    long z = seed * 0xD1B54A32D192ED03L + (place + 1) * STEP;
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return ((z ^ (z >>> 31)) >>> 11) * 0x1.0p-53;
  }

  // ------------------------------------------------------------------ beams

  /**
   * A beam with one token more.
   *
   * @param ends whether it is not gone on with
   */
  private record Candidate(int beam, int token, float score, boolean ends) {}

  private State bestBeams(State state, float[] logits, int offset, int vocabulary) {
    int length = state.length() + 1;
    List<Candidate> candidates = candidates(state, logits, offset, vocabulary, length);

    // Those that go on: the best of those that do not end.
    List<Candidate> going = new ArrayList<>(candidates);
    going.sort(Comparator.comparingDouble(each -> -(each.score + (each.ends ? NEVER : 0))));
    int[][] tokens = new int[beams][];
    float[] scores = new float[beams];
    int[] parents = new int[beams];
    for (int i = 0; i < beams; i++) {
      Candidate each = going.get(i);
      tokens[i] = with(state.tokens()[each.beam], each.token);
      parents[i] = each.beam;
      scores[i] = each.ends ? each.score + NEVER : each.score;
    }

    // Those that end, if they are among the best, compete with those that have ended before.
    record Ended(int[] tokens, float score) {}
    List<Ended> ended = new ArrayList<>();
    for (int i = 0; i < beams; i++) {
      ended.add(new Ended(state.finished()[i], state.finishedScores()[i]));
    }
    float over = (float) Math.pow(length, lengthPenalty);
    for (int i = 0; i < candidates.size(); i++) {
      Candidate each = candidates.get(i);
      boolean counts = each.ends && i < beams;
      float score = each.score / over + (counts ? 0 : NEVER);
      ended.add(new Ended(counts ? with(state.tokens()[each.beam], each.token) : null, score));
    }
    ended.sort(Comparator.comparingDouble(each -> -each.score));
    int[][] finished = new int[beams][];
    float[] finishedScores = new float[beams];
    for (int i = 0; i < beams; i++) {
      finished[i] = ended.get(i).tokens;
      finishedScores[i] = ended.get(i).score;
    }

    // Whether the best that runs could still be better than the worst that has ended.
    float worst = finishedScores[0];
    for (float score : finishedScores) {
      worst = Math.min(worst, score);
    }
    float possible = scores[0] / over;
    boolean better = false;
    for (int[] text : finished) {
      better |= possible > (text == null ? NEVER : worst);
    }
    boolean allEnd = candidates.stream().allMatch(Candidate::ends);
    return new State(tokens, scores, finished, finishedScores, !better || allEnd, parents);
  }

  /** The best continuations of all beams, twice as many as there are beams, best first. */
  private List<Candidate> candidates(
      State state, float[] logits, int offset, int vocabulary, int length) {
    int most = Math.min(2 * beams, beams * vocabulary);
    List<Candidate> best = new ArrayList<>();
    for (int beam = 0; beam < beams; beam++) {
      int from = offset + beam * vocabulary;
      double norm = logOfSum(logits, from, vocabulary);
      for (int token = 0; token < vocabulary; token++) {
        float score = (float) (logits[from + token] - norm) + state.scores()[beam];
        if (best.size() == most && score <= best.get(most - 1).score) {
          continue;
        }
        if (best.size() == most) {
          best.remove(most - 1);
        }
        int at = best.size();
        while (at > 0 && best.get(at - 1).score < score) {
          at--;
        }
        best.add(at, new Candidate(beam, token, score, token == end || length == maxNewTokens));
      }
    }
    return best;
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

  private static int[] with(int[] tokens, int token) {
    int[] more = Arrays.copyOf(tokens, tokens.length + 1);
    more[tokens.length] = token;
    return more;
  }

  // ------------------------------------------------------------------ at rest

  /** Numbers that {@link #save} gives. */
  int savedSize() {
    return 2 + 2 * beams * (2 + maxNewTokens);
  }

  /** A state as numbers, always as many. Token ids are below 2^24, so a float32 holds them. */
  float[] save(State state) {
    float[] saved = new float[savedSize()];
    saved[0] = state.length();
    saved[1] = state.over() ? 1 : 0;
    int at = 2;
    for (int i = 0; i < beams; i++) {
      at = put(saved, at, state.scores()[i], state.tokens()[i]);
      at = put(saved, at, state.finishedScores()[i], state.finished()[i]);
    }
    return saved;
  }

  private int put(float[] saved, int at, float score, int[] tokens) {
    saved[at] = score;
    saved[at + 1] = tokens == null ? -1 : tokens.length;
    for (int i = 0; tokens != null && i < tokens.length; i++) {
      saved[at + 2 + i] = tokens[i];
    }
    return at + 2 + maxNewTokens;
  }

  /**
   * The state of numbers that {@link #save} gave.
   *
   * @return null for numbers that are none
   */
  State restore(float[] saved) {
    if (saved.length != savedSize()) {
      return null;
    }
    State begun = begin();
    int[][] tokens = new int[beams][];
    int at = 2;
    for (int i = 0; i < beams; i++) {
      begun.scores()[i] = saved[at];
      tokens[i] = tokens(saved, at);
      at += 2 + maxNewTokens;
      begun.finishedScores()[i] = saved[at];
      begun.finished()[i] = tokens(saved, at);
      at += 2 + maxNewTokens;
      if (tokens[i] == null || tokens[i].length != (int) saved[0]) {
        return null;
      }
    }
    return new State(
        tokens,
        begun.scores(),
        begun.finished(),
        begun.finishedScores(),
        saved[1] != 0,
        begun.parents());
  }

  private int[] tokens(float[] saved, int at) {
    int length = (int) saved[at + 1];
    if (length < 0 || length > maxNewTokens) {
      return null;
    }
    int[] tokens = new int[length];
    for (int i = 0; i < length; i++) {
      tokens[i] = (int) saved[at + 2 + i];
    }
    return tokens;
  }
}
