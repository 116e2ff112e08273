/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import org.apache.commons.math3.linear.RealMatrix;
import org.junit.jupiter.api.Test;

class WordVectorsTest {
  @Test
  void allComponentsKeepEveryDistanceAndTheFirstOnesMostOfThem() {
    Random random = new Random(3);
    double[][] pictures = new double[7][20];
    for (double[] picture : pictures) {
      for (int i = 0; i < picture.length; i++) {
        // The first pixels differ most.
        picture[i] = random.nextGaussian() / (1 + i) + 5;
      }
    }
    RealMatrix all = WordVectors.components(pictures, 6);
    RealMatrix first = WordVectors.components(pictures, 2);
    double kept = 0;
    double there = 0;
    for (int i = 0; i < pictures.length; i++) {
      for (int j = 0; j < i; j++) {
        double distance = squaredDistance(pictures[i], pictures[j]);
        assertThat(squaredDistance(all.getRow(i), all.getRow(j))).isCloseTo(distance, within(1e-9));
        kept += squaredDistance(first.getRow(i), first.getRow(j));
        there += distance;
      }
    }
    assertThat(kept / there).isBetween(0.8, 1.0);
  }

  private static double squaredDistance(double[] one, double[] other) {
    double sum = 0;
    for (int i = 0; i < one.length; i++) {
      sum += (one[i] - other[i]) * (one[i] - other[i]);
    }
    return sum;
  }
}
