/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

/**
 * Products of all pairs of two sets' features, from which distances of any samples of them follow
 * without looking at the features again: what a bootstrap needs. The distances are those of {@link
 * FeatureDistance}.
 */
final class PairProducts {
  private final int features;
  private final double[][] first;
  private final double[][] both;
  private final double[][] second;

  /** Of rows that are as long as each other and finite. */
  PairProducts(float[][] first, float[][] second) {
    this.features = first[0].length;
    this.first = products(first, first);
    this.both = products(first, second);
    this.second = products(second, second);
  }

  private static double[][] products(float[][] a, float[][] b) {
    double[][] products = new double[a.length][b.length];
    for (int i = 0; i < a.length; i++) {
      for (int j = 0; j < b.length; j++) {
        products[i][j] = a == b && j < i ? products[j][i] : Samples.dot(a[i], b[j]);
      }
    }
    return products;
  }

  /**
   * The Fréchet distance. The root of the product of both covariances has the trace of the singular
   * values of the sets' centered products, which are a matrix of samples, not of features.
   */
  double frechet(int[] a, int[] b) {
    double inFirst = mean(first, a, a);
    double inSecond = mean(second, b, b);
    double means = inFirst + inSecond - 2 * mean(both, a, b);
    double traces =
        (diagonal(first, a) - a.length * inFirst) / (a.length - 1)
            + (diagonal(second, b) - b.length * inSecond) / (b.length - 1);
    double[][] crossed = centered(a, b);
    double[][] squares = new double[crossed.length][crossed.length];
    for (int i = 0; i < crossed.length; i++) {
      for (int j = 0; j <= i; j++) {
        squares[i][j] = dot(crossed[i], crossed[j]);
        squares[j][i] = squares[i][j];
      }
    }
    double root = PositiveMatrix.rootTrace(squares);
    return means + traces - 2 * root / Math.sqrt((a.length - 1.0) * (b.length - 1.0));
  }

  /** The smaller set's samples are the rows. */
  private double[][] centered(int[] a, int[] b) {
    boolean turned = b.length < a.length;
    int[] rows = turned ? b : a;
    int[] columns = turned ? a : b;
    double[][] centered = new double[rows.length][columns.length];
    double[] ofColumn = new double[columns.length];
    double all = 0;
    for (int i = 0; i < rows.length; i++) {
      double ofRow = 0;
      for (int j = 0; j < columns.length; j++) {
        double product = turned ? both[columns[j]][rows[i]] : both[rows[i]][columns[j]];
        centered[i][j] = product;
        ofRow += product / columns.length;
        ofColumn[j] += product / rows.length;
      }
      all += ofRow / rows.length;
      for (int j = 0; j < columns.length; j++) {
        centered[i][j] -= ofRow;
      }
    }
    for (double[] row : centered) {
      for (int j = 0; j < row.length; j++) {
        row[j] -= ofColumn[j] - all;
      }
    }
    return centered;
  }

  /**
   * The kernel distance. Pairs of a sample with itself count nowhere, however often it was drawn.
   */
  double kernel(int[] a, int[] b) {
    double between = 0;
    for (int i : a) {
      for (int j : b) {
        between += kernel(both[i][j]);
      }
    }
    return within(first, a) + within(second, b) - 2 * between / ((double) a.length * b.length);
  }

  private double within(double[][] products, int[] drawn) {
    double sum = 0;
    long pairs = 0;
    for (int i : drawn) {
      for (int j : drawn) {
        if (i != j) {
          sum += kernel(products[i][j]);
          pairs++;
        }
      }
    }
    return sum / pairs;
  }

  private double kernel(double product) {
    double x = product / features + 1;
    return x * x * x;
  }

  private static double mean(double[][] products, int[] rows, int[] columns) {
    double sum = 0;
    for (int i : rows) {
      for (int j : columns) {
        sum += products[i][j];
      }
    }
    return sum / ((double) rows.length * columns.length);
  }

  private static double diagonal(double[][] products, int[] drawn) {
    double sum = 0;
    for (int i : drawn) {
      sum += products[i][i];
    }
    return sum;
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }
}
