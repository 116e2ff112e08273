/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.simulation;

/**
 * A request of a load.
 *
 * @param number of the request, from 0
 * @param atNanos when it comes, from the beginning
 * @param steps network steps that it takes, 1 or more
 * @param size of the image's edge, in pixels
 */
public record Arrival(int number, long atNanos, int steps, int size) {
  /** Where a load has one size only. */
  public static final int ONE_SIZE = 64;

  /** A request of the one size. */
  public Arrival(int number, long atNanos, int steps) {
    this(number, atNanos, steps, ONE_SIZE);
  }
}
