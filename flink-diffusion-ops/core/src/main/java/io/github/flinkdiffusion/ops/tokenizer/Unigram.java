/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;

/**
 * Kudo's unigram language model (2018, section 3.2): of all ways to cut a text into pieces of the
 * vocabulary, the one with the highest sum of scores. A character that no piece begins with is the
 * unknown token; neighbours that are unknown are one token.
 */
final class Unigram {
  /** How far below the lowest score an unknown character's is. */
  private static final double UNKNOWN_PENALTY = 10;

  /** A piece's text, to find the pieces that a text begins with. */
  private final Map<Long, Integer> next = new HashMap<>();

  /** The piece that ends at each node of the tree; -1 for none. */
  private final int[] pieceAt;

  private final double[] scores;
  private final Map<String, Integer> ids;
  private final int unknown;
  private final double unknownScore;

  /**
   * @param pieces all different; a piece's id is its index
   * @param scores of the pieces, log probabilities
   * @param unknown id of the unknown token
   */
  Unigram(List<String> pieces, double[] scores, int unknown) {
    this.scores = scores.clone();
    this.unknown = unknown;
    this.ids = new HashMap<>();
    int[] ends = new int[16];
    int nodes = 1;
    ends[0] = -1;
    double lowest = Double.POSITIVE_INFINITY;
    for (int id = 0; id < pieces.size(); id++) {
      lowest = Math.min(lowest, scores[id]);
      ids.put(pieces.get(id), id);
      int node = 0;
      for (char c : pieces.get(id).toCharArray()) {
        Integer known = next.get(edge(node, c));
        if (known == null) {
          known = nodes++;
          next.put(edge(node, c), known);
          if (known == ends.length) {
            ends = Arrays.copyOf(ends, 2 * known);
          }
          ends[known] = -1;
        }
        node = known;
      }
      ends[node] = id;
    }
    ends[0] = -1; // an empty piece ends nowhere
    pieceAt = ends;
    unknownScore = lowest - UNKNOWN_PENALTY;
  }

  private static long edge(int node, char c) {
    return (long) node << 16 | c;
  }

  /** Gives the ids of a text without halves of surrogate pairs, in order. */
  void encode(String text, IntConsumer taker) {
    int size = text.length();
    double[] best = new double[size + 1];
    int[] piece = new int[size + 1];
    int[] start = new int[size + 1];
    Arrays.fill(start, -1);
    for (int at = 0; at < size; ) {
      int one = Character.charCount(text.codePointAt(at));
      boolean single = false;
      int node = 0;
      for (int end = at; end < size; ) {
        Integer following = next.get(edge(node, text.charAt(end)));
        if (following == null) {
          break;
        }
        node = following;
        end++;
        if (pieceAt[node] >= 0) {
          offer(best, piece, start, at, end, pieceAt[node], scores[pieceAt[node]]);
          single |= end - at == one;
        }
      }
      if (!single) {
        offer(best, piece, start, at, at + one, unknown, unknownScore);
      }
      at += one;
    }
    give(text, piece, start, taker);
  }

  private static void offer(
      double[] best, int[] piece, int[] start, int from, int to, int id, double score) {
    double sum = score + best[from];
    if (start[to] < 0 || sum > best[to]) {
      best[to] = sum;
      piece[to] = id;
      start[to] = from;
    }
  }

  private void give(String text, int[] piece, int[] start, IntConsumer taker) {
    int[] ends = new int[text.length()];
    int count = 0;
    for (int end = text.length(); end > 0; end = start[end]) {
      ends[count++] = end;
    }
    for (int i = count - 1; i >= 0; i--) {
      int from = start[ends[i]];
      if (piece[ends[i]] != unknown) {
        taker.accept(piece[ends[i]]);
        continue;
      }
      while (i > 0 && piece[ends[i - 1]] == unknown) {
        i--;
      }
      // Unknown characters may be a piece together.
      taker.accept(ids.getOrDefault(text.substring(from, ends[i]), unknown));
    }
  }
}
