/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import java.util.ArrayDeque;
import java.util.Deque;
import org.apache.commons.math3.distribution.NormalDistribution;
import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.ArrayRealVector;
import org.apache.commons.math3.linear.LUDecomposition;
import org.apache.commons.math3.linear.RealMatrix;
import org.apache.flink.annotation.Internal;

/**
 * Strengths of things of which people preferred one of two at a time (R. A. Bradley and M. E.
 * Terry, Biometrika 1952): one wins over another with the probability {@code 1 / (1 + exp(b - a))}.
 * By maximum likelihood; the errors are those of the Fisher information.
 *
 * @param strengths of each, on a scale whose mean is 0
 * @param errors standard error of each
 */
@Internal
public record BradleyTerry(double[] strengths, double[] errors) {
  private static final int MOST_STEPS = 100;
  private static final double ENOUGH = 1e-12;

  /**
   * @param wins how often the one of a row won over the one of a column; half for a tie
   * @throws QualityException if the table is not square, a count is below 0 or not finite, or some
   *     things never lost, or never won, against the others, so that their strengths have no end
   */
  public static BradleyTerry of(double[][] wins) {
    requireConnected(wins);
    int count = wins.length;
    ArrayRealVector strengths = new ArrayRealVector(count);
    RealMatrix information = information(wins, strengths);
    double before = logLikelihood(wins, strengths);
    for (int step = 0; step < MOST_STEPS; step++) {
      // The likelihood is concave: Newton's way, half of it while it leads too far.
      ArrayRealVector way =
          new ArrayRealVector(
              new LUDecomposition(information).getSolver().solve(gradient(wins, strengths)));
      double scale = 1;
      ArrayRealVector next = strengths.add(way);
      double after = logLikelihood(wins, next);
      while (after < before && scale > ENOUGH) {
        scale /= 2;
        next = strengths.add(way.mapMultiply(scale));
        after = logLikelihood(wins, next);
      }
      strengths = next;
      before = after;
      information = information(wins, strengths);
      if (way.getLInfNorm() < ENOUGH) {
        break;
      }
    }
    RealMatrix covariance = new LUDecomposition(information).getSolver().getInverse();
    double[] errors = new double[count];
    for (int i = 0; i < count; i++) {
      // What the information was filled up with, for the scale that is free, is no uncertainty.
      errors[i] = Math.sqrt(Math.max(0, covariance.getEntry(i, i) - 1.0 / count));
    }
    return new BradleyTerry(strengths.toArray(), errors);
  }

  /** Half the width of the interval that holds a strength with this probability, such as 0.95. */
  public double margin(int which, double probability) {
    return new NormalDistribution(null, 0, 1).inverseCumulativeProbability(0.5 + probability / 2)
        * errors[which];
  }

  /** How probable it is that the first is preferred to the second. */
  public double winRate(int first, int second) {
    return 1 / (1 + Math.exp(strengths[second] - strengths[first]));
  }

  private static double logLikelihood(double[][] wins, ArrayRealVector strengths) {
    double sum = 0;
    for (int i = 0; i < wins.length; i++) {
      for (int j = 0; j < wins.length; j++) {
        double lead = strengths.getEntry(i) - strengths.getEntry(j);
        sum -= i == j ? 0 : wins[i][j] * Math.log1p(Math.exp(-lead));
      }
    }
    return sum;
  }

  private static ArrayRealVector gradient(double[][] wins, ArrayRealVector strengths) {
    ArrayRealVector gradient = new ArrayRealVector(wins.length);
    for (int i = 0; i < wins.length; i++) {
      for (int j = 0; j < wins.length; j++) {
        if (i != j) {
          double loses = 1 / (1 + Math.exp(strengths.getEntry(i) - strengths.getEntry(j)));
          gradient.addToEntry(i, wins[i][j] * loses - wins[j][i] * (1 - loses));
        }
      }
    }
    return gradient;
  }

  /** Filled up in the direction in which all strengths change alike, which nothing decides. */
  private static RealMatrix information(double[][] wins, ArrayRealVector strengths) {
    int count = wins.length;
    RealMatrix information = new Array2DRowRealMatrix(count, count);
    for (int i = 0; i < count; i++) {
      for (int j = 0; j < count; j++) {
        information.addToEntry(i, j, 1.0 / count);
        if (i != j) {
          double wins1 = 1 / (1 + Math.exp(strengths.getEntry(j) - strengths.getEntry(i)));
          double weight = (wins[i][j] + wins[j][i]) * wins1 * (1 - wins1);
          information.addToEntry(i, j, -weight);
          information.addToEntry(i, i, weight);
        }
      }
    }
    return information;
  }

  private static void requireConnected(double[][] wins) {
    if (wins.length < 2) {
      throw new QualityException(
          "Preferences among %d things; at least 2 are needed".formatted(wins.length));
    }
    for (double[] row : wins) {
      if (row.length != wins.length) {
        throw new QualityException(
            "A table of %d rows has one of %d columns".formatted(wins.length, row.length));
      }
      for (double count : row) {
        if (!(count >= 0) || Double.isInfinite(count)) {
          throw new QualityException("A number of wins is " + count);
        }
      }
    }
    for (boolean won : new boolean[] {true, false}) {
      if (reached(wins, won) < wins.length) {
        throw new QualityException(
            "Some of %d things won all, or no, comparisons with the others: more comparisons are"
                    .formatted(wins.length)
                + " needed");
      }
    }
  }

  /** How many are reached from the first, from winners to losers or the other way. */
  private static int reached(double[][] wins, boolean won) {
    boolean[] seen = new boolean[wins.length];
    Deque<Integer> open = new ArrayDeque<>();
    open.add(0);
    seen[0] = true;
    int reached = 0;
    while (!open.isEmpty()) {
      int at = open.remove();
      reached++;
      for (int to = 0; to < wins.length; to++) {
        if (!seen[to] && (won ? wins[at][to] : wins[to][at]) > 0) {
          seen[to] = true;
          open.add(to);
        }
      }
    }
    return reached;
  }
}
