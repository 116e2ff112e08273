/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

/** A number with its noun: 1 image, 2 images. */
final class Count {
  private Count() {}

  static String of(long count, String noun) {
    return count + " " + noun + (count == 1 ? "" : "s");
  }

  /** Some of all: 1 of 3 images. */
  static String of(long count, long all, String noun) {
    return count + " of " + of(all, noun);
  }
}
