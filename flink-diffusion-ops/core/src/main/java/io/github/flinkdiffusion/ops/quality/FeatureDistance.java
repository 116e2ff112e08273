/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import org.apache.flink.annotation.Internal;

/**
 * How far two sets of pictures are from each other, by features that some network gave for each
 * picture: samples x features. With an Inception network's features these are FID and KID.
 */
@Internal
public final class FeatureDistance {
  /** A set of one has no covariance, and no pairs. */
  public static final int LEAST_SAMPLES = 2;

  private FeatureDistance() {}

  /**
   * The Fréchet distance of the normal distributions with the sets' means and covariances: {@code
   * |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½)}, the "FID" of M. Heusel et al., NeurIPS 2017.
   *
   * <p>The trace of the root is taken from the eigenvalues of {@code L' C2 L}, where {@code C1 = L
   * L'}, which is symmetric, so that no complex numbers come up and covariances without full rank,
   * as of fewer samples than features, need no help.
   *
   * @throws QualityException if a set has fewer than two samples, a sample has another number of
   *     features than the first, or a value is not finite
   */
  public static double frechet(float[][] first, float[][] second) {
    requireComparable(first, second);
    return frechet(moments(first), moments(second));
  }

  /**
   * The same of sets of which only their moments are known.
   *
   * @throws QualityException if a set has fewer than two samples, or the sets' features differ in
   *     number
   */
  public static double frechet(FeatureMoments first, FeatureMoments second) {
    requireComparable(first.count(), first.features(), second.count(), second.features());
    double[] mean1 = first.mean();
    double[] mean2 = second.mean();
    double[][] covariance1 = first.covariance();
    double[][] covariance2 = second.covariance();
    double means = 0;
    for (int i = 0; i < mean1.length; i++) {
      means += (mean1[i] - mean2[i]) * (mean1[i] - mean2[i]);
    }
    double traces = 0;
    for (int i = 0; i < mean1.length; i++) {
      traces += covariance1[i][i] + covariance2[i][i];
    }
    double[][] factor = PositiveMatrix.factor(covariance1);
    double rootTrace = PositiveMatrix.rootTrace(PositiveMatrix.seenBy(factor, covariance2));
    return means + traces - 2 * rootTrace;
  }

  /**
   * The squared maximum mean discrepancy with the kernel {@code (x·y / features + 1)³}, unbiased:
   * the "KID" of M. Bińkowski et al., ICLR 2018, over all samples at once. It may be below 0 for
   * sets of the same distribution.
   *
   * @throws QualityException as {@link #frechet}
   */
  public static double kernel(float[][] first, float[][] second) {
    requireComparable(first, second);
    return kernel(all(first), all(second));
  }

  /**
   * The same of samples of the sets.
   *
   * @throws QualityException as {@link #frechet(FeatureMoments, FeatureMoments)}
   */
  public static double kernel(FeatureSample first, FeatureSample second) {
    requireComparable(first.count(), first.features(), second.count(), second.features());
    return first.meanKernel() + second.meanKernel() - 2 * first.meanKernel(second);
  }

  private static FeatureMoments moments(float[][] samples) {
    FeatureMoments moments = new FeatureMoments(samples[0].length);
    for (float[] sample : samples) {
      moments.add(doubles(sample));
    }
    return moments;
  }

  private static FeatureSample all(float[][] samples) {
    FeatureSample all = new FeatureSample(samples[0].length, samples.length);
    for (float[] sample : samples) {
      all.add(doubles(sample));
    }
    return all;
  }

  private static double[] doubles(float[] sample) {
    double[] doubles = new double[sample.length];
    for (int i = 0; i < doubles.length; i++) {
      doubles[i] = sample[i];
    }
    return doubles;
  }

  private static void requireComparable(float[][] first, float[][] second) {
    requireEnough(first.length, second.length);
    int features = first[0].length;
    if (features == 0) {
      throw new QualityException("Distance of samples without features; at least 1 is needed");
    }
    requireFeatures("first", first, features);
    requireFeatures("second", second, features);
  }

  private static void requireComparable(
      long first, int firstFeatures, long second, int secondFeatures) {
    requireEnough(first, second);
    if (firstFeatures != secondFeatures) {
      throw new QualityException(
          "Distance of sets with %d and %d features a sample; both need as many"
              .formatted(firstFeatures, secondFeatures));
    }
  }

  private static void requireEnough(long first, long second) {
    if (Math.min(first, second) < LEAST_SAMPLES) {
      throw new QualityException(
          "Distance of sets of %d and %d samples; at least %d each are needed"
              .formatted(first, second, LEAST_SAMPLES));
    }
  }

  private static void requireFeatures(String name, float[][] samples, int features) {
    for (int i = 0; i < samples.length; i++) {
      if (samples[i].length != features) {
        throw new QualityException(
            "Sample %d of the %s set has %d features; %d are needed"
                .formatted(i, name, samples[i].length, features));
      }
      for (float value : samples[i]) {
        if (!Float.isFinite(value)) {
          throw new QualityException(
              "Sample %d of the %s set holds %s; finite features are needed"
                  .formatted(i, name, value));
        }
      }
    }
  }
}
