/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.noise;

import java.util.Arrays;

/**
 * NumPy's {@code SeedSequence}: an integer and the place of a node in a tree of generators make
 * seeds that are as good as independent. The hash is NumPy's, so the seeds are its, too.
 */
final class SeedSequence {
  private static final int INIT_A = 0x43b0d7e5;
  private static final int MULTIPLIER_A = 0x931e8875;
  private static final int INIT_B = 0x8b51f9dd;
  private static final int MULTIPLIER_B = 0x58f38ded;
  private static final int MIX_LEFT = 0xca01f9dd;
  private static final int MIX_RIGHT = 0x4973f715;
  private static final int SHIFT = 16;

  private final int[] pool;
  private int hash = INIT_A;

  /**
   * @param entropy 0 or more
   * @param poolSize words of the pool, at least 1
   * @param spawnKey the place in the tree, each number 0 or more; empty for the root
   */
  SeedSequence(long entropy, int poolSize, long... spawnKey) {
    int[] words = words(entropy);
    if (spawnKey.length > 0 && words.length < poolSize) {
      words = Arrays.copyOf(words, poolSize);
    }
    for (long key : spawnKey) {
      words = joined(words, words(key));
    }
    this.pool = new int[poolSize];
    for (int i = 0; i < poolSize; i++) {
      pool[i] = hashed(i < words.length ? words[i] : 0);
    }
    for (int from = 0; from < poolSize; from++) {
      for (int to = 0; to < poolSize; to++) {
        if (from != to) {
          pool[to] = mixed(pool[to], hashed(pool[from]));
        }
      }
    }
    for (int from = poolSize; from < words.length; from++) {
      for (int to = 0; to < poolSize; to++) {
        pool[to] = mixed(pool[to], hashed(words[from]));
      }
    }
  }

  /** The first n seeds, 32 bits each. */
  int[] state(int n) {
    int[] state = new int[n];
    int constant = INIT_B;
    for (int i = 0; i < n; i++) {
      int word = pool[i % pool.length] ^ constant;
      constant *= MULTIPLIER_B;
      word *= constant;
      state[i] = word ^ (word >>> SHIFT);
    }
    return state;
  }

  private int hashed(int word) {
    int value = word ^ hash;
    hash *= MULTIPLIER_A;
    value *= hash;
    return value ^ (value >>> SHIFT);
  }

  private static int mixed(int x, int y) {
    int value = MIX_LEFT * x - MIX_RIGHT * y;
    return value ^ (value >>> SHIFT);
  }

  /** The low word first; a high word of 0 is left out. */
  private static int[] words(long value) {
    int high = (int) (value >>> Integer.SIZE);
    return high == 0 ? new int[] {(int) value} : new int[] {(int) value, high};
  }

  private static int[] joined(int[] first, int[] second) {
    int[] joined = Arrays.copyOf(first, first.length + second.length);
    System.arraycopy(second, 0, joined, first.length, second.length);
    return joined;
  }
}
