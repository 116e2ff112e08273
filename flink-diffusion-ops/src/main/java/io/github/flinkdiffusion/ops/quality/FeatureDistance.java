package io.github.flinkdiffusion.ops.quality;

import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.EigenDecomposition;
import org.apache.commons.math3.linear.MatrixUtils;
import org.apache.commons.math3.linear.RealMatrix;

/**
 * How far two sets of pictures are from each other, by features that some network gave for each
 * picture: samples x features. With an Inception network's features these are FID and KID.
 */
public final class FeatureDistance {

  private FeatureDistance() {}

  /**
   * The Fréchet distance of the normal distributions with the sets' means and covariances: {@code
   * |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½)}, the "FID" of M. Heusel et al., NeurIPS 2017.
   *
   * <p>The trace of the root is taken from the eigenvalues of {@code C1^½ C2 C1^½}, which is
   * symmetric, so that no complex numbers come up and covariances without full rank, as of fewer
   * samples than features, need no help.
   *
   * @throws QualityException if a set has fewer than two samples, a sample has another number of
   *     features than the first, or a value is not finite
   */
  public static double frechet(float[][] first, float[][] second) {
    requireComparable(first, second, 2);
    double[] mean1 = mean(first);
    double[] mean2 = mean(second);
    RealMatrix covariance1 = covariance(first, mean1);
    RealMatrix covariance2 = covariance(second, mean2);
    double means = 0;
    for (int i = 0; i < mean1.length; i++) {
      means += (mean1[i] - mean2[i]) * (mean1[i] - mean2[i]);
    }
    RealMatrix root = symmetricRoot(covariance1);
    RealMatrix inner = symmetrized(root.multiply(covariance2).multiply(root));
    double rootTrace = 0;
    for (double value : new EigenDecomposition(inner).getRealEigenvalues()) {
      rootTrace += Math.sqrt(Math.max(0, value));
    }
    return means + covariance1.getTrace() + covariance2.getTrace() - 2 * rootTrace;
  }

  /**
   * The squared maximum mean discrepancy with the kernel {@code (x·y / features + 1)³}, unbiased:
   * the "KID" of M. Bińkowski et al., ICLR 2018, over all samples at once. It may be below 0 for
   * sets of the same distribution.
   *
   * @throws QualityException as {@link #frechet}
   */
  public static double kernel(float[][] first, float[][] second) {
    requireComparable(first, second, 2);
    double m = first.length;
    double n = second.length;
    return kernelSum(first) / (m * (m - 1))
        + kernelSum(second) / (n * (n - 1))
        - 2 * kernelSum(first, second) / (m * n);
  }

  /** Over all pairs of different samples. */
  private static double kernelSum(float[][] samples) {
    double sum = 0;
    for (int i = 0; i < samples.length; i++) {
      for (int j = 0; j < i; j++) {
        sum += 2 * kernel(samples[i], samples[j]);
      }
    }
    return sum;
  }

  private static double kernelSum(float[][] first, float[][] second) {
    double sum = 0;
    for (float[] a : first) {
      for (float[] b : second) {
        sum += kernel(a, b);
      }
    }
    return sum;
  }

  private static double kernel(float[] a, float[] b) {
    double product = 0;
    for (int i = 0; i < a.length; i++) {
      product += (double) a[i] * b[i];
    }
    double base = product / a.length + 1;
    return base * base * base;
  }

  private static double[] mean(float[][] samples) {
    double[] mean = new double[samples[0].length];
    for (float[] sample : samples) {
      for (int i = 0; i < mean.length; i++) {
        mean[i] += sample[i];
      }
    }
    for (int i = 0; i < mean.length; i++) {
      mean[i] /= samples.length;
    }
    return mean;
  }

  private static RealMatrix covariance(float[][] samples, double[] mean) {
    int features = mean.length;
    double[][] sums = new double[features][features];
    double[] centered = new double[features];
    for (float[] sample : samples) {
      for (int i = 0; i < features; i++) {
        centered[i] = sample[i] - mean[i];
      }
      for (int i = 0; i < features; i++) {
        for (int j = 0; j <= i; j++) {
          sums[i][j] += centered[i] * centered[j];
        }
      }
    }
    for (int i = 0; i < features; i++) {
      for (int j = 0; j <= i; j++) {
        sums[i][j] /= samples.length - 1;
        sums[j][i] = sums[i][j];
      }
    }
    return new Array2DRowRealMatrix(sums, false);
  }

  private static RealMatrix symmetricRoot(RealMatrix matrix) {
    EigenDecomposition eigen = new EigenDecomposition(matrix);
    double[] roots = eigen.getRealEigenvalues();
    for (int i = 0; i < roots.length; i++) {
      roots[i] = Math.sqrt(Math.max(0, roots[i]));
    }
    return symmetrized(
        eigen.getV().multiply(MatrixUtils.createRealDiagonalMatrix(roots)).multiply(eigen.getVT()));
  }

  /** Equal to the bit on both sides, as the eigenvalue solver asks. */
  private static RealMatrix symmetrized(RealMatrix matrix) {
    return matrix.add(matrix.transpose()).scalarMultiply(0.5);
  }

  private static void requireComparable(float[][] first, float[][] second, int atLeast) {
    if (first.length < atLeast || second.length < atLeast) {
      throw new QualityException(
          "Distance of sets of %d and %d samples; at least %d each are needed"
              .formatted(first.length, second.length, atLeast));
    }
    int features = first[0].length;
    if (features == 0) {
      throw new QualityException("Distance of samples without features; at least 1 is needed");
    }
    requireFeatures("first", first, features);
    requireFeatures("second", second, features);
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
