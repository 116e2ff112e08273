/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import org.apache.flink.annotation.Internal;

/**
 * The Inception Score of T. Salimans et al., NeurIPS 2016: whether a classifier is sure of each
 * image, and names many classes over all of them. From 1 to the number of classes.
 *
 * @param mean of the parts
 * @param deviation of the parts, with their number as divisor
 */
@Internal
public record InceptionScore(double mean, double deviation) {

  /**
   * @param logits a classifier's, before softmax: a row for each image. In the order given; those
   *     of a stream or folder sorted by class must be shuffled before
   * @param parts that are scored each for itself, 10 in the paper
   * @throws QualityException if there are fewer images than parts, rows differ in length, or a
   *     value is not finite
   */
  public static InceptionScore of(float[][] logits, int parts) {
    if (parts < 1 || logits.length < parts) {
      throw new QualityException(
          "Inception Score of %d images in %d parts; each part needs an image"
              .formatted(logits.length, parts));
    }
    Samples.requireAlike("logits", logits, logits[0].length);
    double[] scores = new double[parts];
    double mean = 0;
    for (int part = 0; part < parts; part++) {
      int from = (int) ((long) part * logits.length / parts);
      int to = (int) ((part + 1L) * logits.length / parts);
      scores[part] = Math.exp(divergence(logits, from, to));
      mean += scores[part] / parts;
    }
    double variance = 0;
    for (double score : scores) {
      variance += (score - mean) * (score - mean) / parts;
    }
    return new InceptionScore(mean, Math.sqrt(variance));
  }

  /** Mean over images of KL(p(class | image) || p(class)). */
  private static double divergence(float[][] logits, int from, int to) {
    int classes = logits[0].length;
    double[] marginal = new double[classes];
    double own = 0;
    for (int i = from; i < to; i++) {
      double[] log = logSoftmax(logits[i]);
      for (int c = 0; c < classes; c++) {
        double share = Math.exp(log[c]);
        marginal[c] += share / (to - from);
        own += share * log[c] / (to - from);
      }
    }
    for (double share : marginal) {
      own -= share == 0 ? 0 : share * Math.log(share);
    }
    return own;
  }

  /**
   * What scores of drawn images need of each.
   *
   * @param classes of each image, their shares
   * @param own of each image, the sum of share times logarithm
   */
  record Shares(float[][] classes, double[] own) {
    static Shares of(float[][] logits) {
      float[][] classes = new float[logits.length][logits[0].length];
      double[] own = new double[logits.length];
      for (int i = 0; i < logits.length; i++) {
        double[] log = logSoftmax(logits[i]);
        for (int c = 0; c < log.length; c++) {
          double share = Math.exp(log[c]);
          classes[i][c] = (float) share;
          own[i] += share * log[c];
        }
      }
      return new Shares(classes, own);
    }

    /** The mean score of the parts of images in the order in which they were drawn. */
    double score(int[] drawn, int parts) {
      double mean = 0;
      for (int part = 0; part < parts; part++) {
        int from = (int) ((long) part * drawn.length / parts);
        int to = (int) ((part + 1L) * drawn.length / parts);
        double[] marginal = new double[classes[0].length];
        double divergence = 0;
        for (int i = from; i < to; i++) {
          float[] shares = classes[drawn[i]];
          for (int c = 0; c < marginal.length; c++) {
            marginal[c] += shares[c];
          }
          divergence += own[drawn[i]] / (to - from);
        }
        for (double sum : marginal) {
          double share = sum / (to - from);
          divergence -= share == 0 ? 0 : share * Math.log(share);
        }
        mean += Math.exp(divergence) / parts;
      }
      return mean;
    }
  }

  private static double[] logSoftmax(float[] logits) {
    double[] doubles = new double[logits.length];
    for (int c = 0; c < doubles.length; c++) {
      doubles[c] = logits[c];
    }
    return logSoftmax(doubles);
  }

  static double[] logSoftmax(double[] logits) {
    double largest = Double.NEGATIVE_INFINITY;
    for (double logit : logits) {
      largest = Math.max(largest, logit);
    }
    double sum = 0;
    for (double logit : logits) {
      sum += Math.exp(logit - largest);
    }
    double[] log = new double[logits.length];
    for (int c = 0; c < log.length; c++) {
      log[c] = logits[c] - largest - Math.log(sum);
    }
    return log;
  }
}
