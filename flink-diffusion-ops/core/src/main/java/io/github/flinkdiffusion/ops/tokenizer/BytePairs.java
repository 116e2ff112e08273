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
 * Byte pair encoding of one word: starts from its bytes and joins the two neighbours whose merge
 * was learned first, the leftmost of equals, until no two can be joined. The word's last byte is
 * marked, so that "art" at the end of a word is not "art" within one.
 */
final class BytePairs {
  static final String END_OF_WORD = "</w>";
  private static final int NONE = -1;

  private final int[] inner = new int[256];
  private final int[] last = new int[256];
  private final Map<Long, Integer> rankOfPair = new HashMap<>();
  private final int[] joined;

  /**
   * @param merges pairs of tokens, the first learned first
   * @param unknown the id for a byte without a token; null if the vocabulary has none
   */
  BytePairs(
      String source, Map<String, Integer> vocabulary, List<String[]> merges, Integer unknown) {
    for (int b = 0; b < 256; b++) {
      String character = String.valueOf(ByteAlphabet.character(b));
      inner[b] = idOrUnknown(source, vocabulary, character, unknown);
      last[b] = idOrUnknown(source, vocabulary, character + END_OF_WORD, unknown);
    }
    joined = new int[merges.size()];
    for (int rank = 0; rank < joined.length; rank++) {
      String left = merges.get(rank)[0];
      String right = merges.get(rank)[1];
      joined[rank] = id(source, vocabulary, rank, left + right);
      rankOfPair.put(
          pair(id(source, vocabulary, rank, left), id(source, vocabulary, rank, right)), rank);
    }
  }

  private static int idOrUnknown(
      String source, Map<String, Integer> vocabulary, String token, Integer unknown) {
    Integer id = vocabulary.getOrDefault(token, unknown);
    if (id == null) {
      throw new TokenizerException(
          "Tokenizer %s: the vocabulary has neither the token '%s' nor the unknown token"
              .formatted(source, token));
    }
    return id;
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

  /** The tokens of a word of at least one byte, in time n log n. */
  int[] encode(byte[] word) {
    int n = word.length;
    int[] ids = new int[n];
    int[] previous = new int[n];
    int[] next = new int[n];
    for (int i = 0; i < n; i++) {
      ids[i] = (i == n - 1 ? last : inner)[word[i] & 0xFF];
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
