/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.evaluation;

import java.util.Locale;

/**
 * A share with the interval of Wilson, of 95 %.
 *
 * @param low not a number without any
 * @param high not a number without any
 */
record Proportion(double share, double low, double high) {
  private static final double Z = 1.959963984540054;

  /**
   * @param yes may be half for a tie
   */
  static Proportion of(double yes, double all) {
    double share = yes / all;
    double middle = (share + Z * Z / (2 * all)) / (1 + Z * Z / all);
    double margin =
        Z * Math.sqrt(share * (1 - share) / all + Z * Z / (4 * all * all)) / (1 + Z * Z / all);
    return new Proportion(share, Math.max(0, middle - margin), Math.min(1, middle + margin));
  }

  String percent() {
    return String.format(Locale.ROOT, "%.0f %% (%.0f to %.0f)", 100 * share, 100 * low, 100 * high);
  }
}
