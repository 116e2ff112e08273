/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import java.util.Arrays;
import java.util.Comparator;
import org.apache.flink.annotation.Internal;

/**
 * How generated images cover real ones, by balls around samples that reach to the k-th nearest
 * sample of the same set.
 *
 * @param precision share of generated samples in the ball of a real one (T. Kynkäänniemi et al.,
 *     NeurIPS 2019)
 * @param recall share of real samples in the ball of a generated one
 * @param density balls of real samples that a generated one lies in, over k, on average (M. F.
 *     Naeem et al., ICML 2020); may be above 1
 * @param coverage share of real samples whose ball holds a generated one
 */
@Internal
public record Manifold(double precision, double recall, double density, double coverage) {

  /**
   * The same of each sample; the figures are their means.
   *
   * @param precision of each generated sample, 1 or 0, as all but density
   * @param recall of each real sample
   * @param density of each generated sample
   * @param coverage of each real sample
   */
  record OfSamples(double[] precision, double[] recall, double[] density, double[] coverage) {}

  /**
   * @param nearest k, 5 in the papers
   * @throws QualityException if a set has not more samples than k, samples differ in their number
   *     of features, or a value is not finite
   */
  public static Manifold of(float[][] real, float[][] generated, int nearest) {
    OfSamples samples = ofSamples(real, generated, nearest);
    return new Manifold(
        mean(samples.precision),
        mean(samples.recall),
        mean(samples.density),
        mean(samples.coverage));
  }

  /**
   * The same of samples of the sets, in float32. Equal vectors count as often as they came.
   *
   * @throws QualityException as {@link #of(float[][], float[][], int)}
   */
  public static Manifold of(FeatureSample real, FeatureSample generated, int nearest) {
    requireEnough(real.count(), generated.count(), nearest);
    long[] realCounts = real.orderedCounts();
    long[] generatedCounts = generated.orderedCounts();
    OfSamples samples =
        ofSamples(floats(real), realCounts, floats(generated), generatedCounts, nearest);
    return new Manifold(
        mean(samples.precision, generatedCounts),
        mean(samples.recall, realCounts),
        mean(samples.density, generatedCounts),
        mean(samples.coverage, realCounts));
  }

  private static float[][] floats(FeatureSample sample) {
    double[][] rows = sample.rows();
    float[][] floats = new float[rows.length][sample.features()];
    for (int i = 0; i < rows.length; i++) {
      for (int j = 0; j < rows[i].length; j++) {
        floats[i][j] = (float) rows[i][j];
      }
    }
    return floats;
  }

  private static double mean(double[] values) {
    return Arrays.stream(values).sum() / values.length;
  }

  private static double mean(double[] values, long[] counts) {
    double sum = 0;
    long all = 0;
    for (int i = 0; i < values.length; i++) {
      sum += counts[i] * values[i];
      all += counts[i];
    }
    return sum / all;
  }

  private static void requireEnough(long real, long generated, int nearest) {
    if (nearest < 1 || Math.min(real, generated) <= nearest) {
      throw new QualityException(
          "The %d nearest of %d real and %d generated samples; each set needs more samples"
              .formatted(nearest, real, generated));
    }
  }

  static OfSamples ofSamples(float[][] real, float[][] generated, int nearest) {
    requireEnough(real.length, generated.length, nearest);
    return ofSamples(real, ones(real.length), generated, ones(generated.length), nearest);
  }

  private static long[] ones(int count) {
    long[] ones = new long[count];
    Arrays.fill(ones, 1);
    return ones;
  }

  private static OfSamples ofSamples(
      float[][] real, long[] realCounts, float[][] generated, long[] generatedCounts, int nearest) {
    int features = real[0].length;
    Samples.requireAlike("real features", real, features);
    Samples.requireAlike("generated features", generated, features);
    double[] ofReal = radii(real, realCounts, nearest);
    double[] ofGenerated = radii(generated, generatedCounts, nearest);
    OfSamples samples =
        new OfSamples(
            new double[generated.length],
            new double[real.length],
            new double[generated.length],
            new double[real.length]);
    for (int r = 0; r < real.length; r++) {
      for (int g = 0; g < generated.length; g++) {
        double distance = distance(real[r], generated[g]);
        if (distance < ofReal[r]) {
          samples.precision[g] = 1;
          samples.coverage[r] = 1;
          samples.density[g] += (double) realCounts[r] / nearest;
        }
        if (distance < ofGenerated[g]) {
          samples.recall[r] = 1;
        }
      }
    }
    return samples;
  }

  private record Neighbor(double distance, long count) {}

  /** Of each sample, to the k-th nearest of the others. */
  private static double[] radii(float[][] samples, long[] counts, int nearest) {
    double[] radii = new double[samples.length];
    for (int i = 0; i < samples.length; i++) {
      Neighbor[] neighbors = new Neighbor[samples.length];
      for (int j = 0; j < samples.length; j++) {
        neighbors[j] =
            new Neighbor(distance(samples[i], samples[j]), j == i ? counts[j] - 1 : counts[j]);
      }
      Arrays.sort(neighbors, Comparator.comparingDouble(Neighbor::distance));
      long passed = 0;
      for (int j = 0; passed < nearest; j++) {
        passed += neighbors[j].count;
        radii[i] = neighbors[j].distance;
      }
    }
    return radii;
  }

  private static double distance(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      double difference = (double) a[i] - b[i];
      sum += difference * difference;
    }
    return Math.sqrt(sum);
  }
}
