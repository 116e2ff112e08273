/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

import java.util.SplittableRandom;

/**
 * Every index once in each epoch, in an order of the epoch's own: which index is at a position
 * follows from seed and position alone.
 */
public final class Shuffled {
  private final int size;
  private final long seed;
  private long epoch = -1;
  private int[] order = {};

  /**
   * @param size at least 1
   */
  public Shuffled(int size, long seed) {
    this.size = size;
    this.seed = seed;
  }

  /**
   * The index at a position.
   *
   * @param position counted from 0, over all epochs
   */
  public int at(long position) {
    if (position / size != epoch) {
      epoch = position / size;
      order = new int[size];
      SplittableRandom random = new SplittableRandom(seed ^ (epoch * 0x9E3779B97F4A7C15L));
      for (int i = 0; i < size; i++) {
        int j = random.nextInt(i + 1);
        order[i] = order[j];
        order[j] = i;
      }
    }
    return order[(int) (position % size)];
  }
}
