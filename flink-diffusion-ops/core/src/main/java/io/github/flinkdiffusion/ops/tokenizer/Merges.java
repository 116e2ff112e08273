/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;

/**
 * Learned merges of pairs: joins the two neighbours whose merge was learned first, the leftmost of
 * equals, until no two can be joined.
 */
final class Merges {
  private static final int NONE = -1;

  private final Map<Long, Integer> rankOfPair = new HashMap<>();
  private final int[] joined;

  /**
   * @param merges pairs of tokens, the first learned first
   */
  Merges(String source, Map<String, Integer> vocabulary, List<String[]> merges) {
    joined = new int[merges.size()];
    for (int rank = 0; rank < joined.length; rank++) {
      String left = merges.get(rank)[0];
      String right = merges.get(rank)[1];
      joined[rank] = id(source, vocabulary, rank, left + right);
      rankOfPair.put(
          pair(id(source, vocabulary, rank, left), id(source, vocabulary, rank, right)), rank);
    }
  }

  private static int id(String source, Map<String, Integer> vocabulary, int rank, String token) {
    Integer id = vocabulary.get(token);
    if (id == null) {
      throw new TokenizerException(
          "Tokenizer %s: merge %d needs the token '%s', which the vocabulary does not have"
              .formatted(source, rank + 1, token));
    }
    return id;
  }

  private static long pair(int left, int right) {
    return (long) left << 32 | right;
  }

  /**
   * Joins tokens, in time n log n.
   *
   * @param ids of at least one token; changed
   */
  int[] join(int[] ids) {
    int n = ids.length;
    int[] previous = new int[n];
    int[] next = new int[n];
    for (int i = 0; i < n; i++) {
      previous[i] = i - 1;
      next[i] = i == n - 1 ? NONE : i + 1;
    }
    // Candidates as rank and position of the left one, which sort by just that.
    PriorityQueue<Long> candidates = new PriorityQueue<>();
    for (int i = 0; i < n - 1; i++) {
      addCandidate(candidates, ids, i, i + 1);
    }
    int count = n;
    while (!candidates.isEmpty()) {
      long candidate = candidates.poll();
      int left = (int) candidate;
      int id = joined[(int) (candidate >>> 32)];
      int right = next[left];
      // A neighbour may have been joined elsewhere since.
      if (ids[left] == NONE || right == NONE) {
        continue;
      }
      Integer rank = rankOfPair.get(pair(ids[left], ids[right]));
      if (rank == null || joined[rank] != id) {
        continue;
      }
      ids[left] = id;
      ids[right] = NONE;
      next[left] = next[right];
      count--;
      if (next[left] != NONE) {
        previous[next[left]] = left;
        addCandidate(candidates, ids, left, next[left]);
      }
      if (previous[left] >= 0) {
        addCandidate(candidates, ids, previous[left], left);
      }
    }
    int[] tokens = new int[count];
    for (int i = 0, at = 0; i != NONE; i = next[i]) {
      tokens[at++] = ids[i];
    }
    return tokens;
  }

  private void addCandidate(PriorityQueue<Long> candidates, int[] ids, int left, int right) {
    Integer rank = rankOfPair.get(pair(ids[left], ids[right]));
    if (rank != null) {
      candidates.add(pair(rank, left));
    }
  }
}
