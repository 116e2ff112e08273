/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

/** Examples by their index, always in the same order. May be asked by one thread at a time. */
public interface ExampleSet {
  /** At least 1. */
  int size();

  /**
   * Reads an example.
   *
   * @param index from 0
   * @throws TrainingDataException naming the file that cannot be read
   */
  Example at(int index);
}
