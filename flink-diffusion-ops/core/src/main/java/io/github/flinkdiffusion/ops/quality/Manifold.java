/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import java.util.Arrays;
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

  private static double mean(double[] values) {
    return Arrays.stream(values).sum() / values.length;
  }

  static OfSamples ofSamples(float[][] real, float[][] generated, int nearest) {
    if (nearest < 1 || Math.min(real.length, generated.length) <= nearest) {
      throw new QualityException(
          "The %d nearest of %d real and %d generated samples; each set needs more samples"
              .formatted(nearest, real.length, generated.length));
    }
    int features = real[0].length;
    Samples.requireAlike("real features", real, features);
    Samples.requireAlike("generated features", generated, features);
    double[] ofReal = radii(real, nearest);
    double[] ofGenerated = radii(generated, nearest);
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
          samples.density[g] += 1.0 / nearest;
        }
        if (distance < ofGenerated[g]) {
          samples.recall[r] = 1;
        }
      }
    }
    return samples;
  }

  /** Of each sample, to the k-th nearest of the others. */
  private static double[] radii(float[][] samples, int nearest) {
    double[] radii = new double[samples.length];
    for (int i = 0; i < samples.length; i++) {
      double[] distances = new double[samples.length];
      for (int j = 0; j < samples.length; j++) {
        distances[j] = distance(samples[i], samples[j]);
      }
      Arrays.sort(distances);
      radii[i] = distances[nearest];
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
