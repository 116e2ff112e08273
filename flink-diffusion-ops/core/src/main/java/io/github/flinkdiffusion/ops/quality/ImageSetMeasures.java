/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.flink.annotation.Internal;

/**
 * What sets of images are worth, with intervals: the figures of {@link InceptionScore}, {@link
 * FeatureDistance}, {@link Manifold}, {@link Diversity} and {@link TextAgreement}, each with how
 * far other images of the same model would move it.
 *
 * <p>Errors of means follow from the values' spread, intervals of shares are Wilson's, and all
 * other errors are from a bootstrap. They say nothing about a figure's bias: FID of a few hundred
 * images is too large by far more than its error, and so comparable only between sets of the same
 * size.
 */
@Internal
public final class ImageSetMeasures {
  /** Samples of a set whose pairs are kept for a bootstrap: 96 MB for both sets. */
  private static final int MOST_PAIRED = 2000;

  /** Samples of the smaller set for which eigenvalues are found again and again. */
  private static final int MOST_DECOMPOSED = 500;

  private final int parts;
  private final int nearest;
  private final int resamples;
  private final long seed;

  /**
   * @param parts of the Inception Score
   * @param nearest neighbor whose distance is a ball's radius
   * @param resamples of a bootstrap; below 2, there are no errors but of means
   * @param seed of its draws
   */
  public ImageSetMeasures(int parts, int nearest, int resamples, long seed) {
    this.parts = parts;
    this.nearest = nearest;
    this.resamples = resamples;
    this.seed = seed;
  }

  /**
   * Of one set: inceptionScore and vendiScore.
   *
   * @param features of each image
   * @param logits of each image, in an order that is not by class
   * @throws QualityException if there are fewer images than parts, or values are not finite
   */
  public Map<String, Estimate> ofOne(float[][] features, float[][] logits) {
    Map<String, Estimate> measures = new LinkedHashMap<>();
    measures.put("inceptionScore", inceptionScore(logits));
    measures.put("vendiScore", vendiScore(features));
    return measures;
  }

  /**
   * Of one set without classes: vendiScore.
   *
   * @throws QualityException if values are not finite
   */
  public Map<String, Estimate> ofFeatures(float[][] features) {
    Map<String, Estimate> measures = new LinkedHashMap<>();
    measures.put("vendiScore", vendiScore(features));
    return measures;
  }

  /**
   * Of generated images beside real ones: kid with its interval alone, which is less work than
   * {@link #ofTwo}.
   *
   * @throws QualityException if values are not finite
   */
  public Estimate kid(float[][] generated, float[][] real) {
    double kernel = FeatureDistance.kernel(generated, real);
    if (resamples < 2 || Math.max(generated.length, real.length) > MOST_PAIRED) {
      return Estimate.of(kernel);
    }
    PairProducts pairs = new PairProducts(generated, real);
    return Estimate.withError(
        kernel, Bootstrap.error(resamples, seed, generated.length, real.length, pairs::kernel));
  }

  /**
   * Of generated images beside real ones: fid, kid, precision, recall, density and coverage.
   *
   * @throws QualityException if a set has not more images than neighbors are asked for, or values
   *     are not finite
   */
  public Map<String, Estimate> ofTwo(float[][] generated, float[][] real) {
    Map<String, Estimate> measures = new LinkedHashMap<>();
    double frechet = FeatureDistance.frechet(generated, real);
    double kernel = FeatureDistance.kernel(generated, real);
    double frechetError = Double.NaN;
    double kernelError = Double.NaN;
    if (resamples > 1 && Math.max(generated.length, real.length) <= MOST_PAIRED) {
      PairProducts pairs = new PairProducts(generated, real);
      kernelError = Bootstrap.error(resamples, seed, generated.length, real.length, pairs::kernel);
      if (Math.min(generated.length, real.length) <= MOST_DECOMPOSED) {
        frechetError =
            Bootstrap.error(resamples, seed, generated.length, real.length, pairs::frechet);
      }
    }
    measures.put("fid", Estimate.withError(frechet, frechetError));
    measures.put("kid", Estimate.withError(kernel, kernelError));
    Manifold.OfSamples manifold = Manifold.ofSamples(real, generated, nearest);
    measures.put("precision", share(manifold.precision()));
    measures.put("recall", share(manifold.recall()));
    measures.put("density", Estimate.ofMean(manifold.density()));
    measures.put("coverage", share(manifold.coverage()));
    return measures;
  }

  /**
   * Of images and their texts: clipScore and rPrecision.
   *
   * @throws QualityException if they are not as many, or zero or not finite
   */
  public Map<String, Estimate> ofTexts(float[][] images, float[][] texts) {
    double[] cosines = new double[images.length];
    double score = TextAgreement.clipScore(images, texts);
    for (int i = 0; i < cosines.length; i++) {
      cosines[i] =
          100
              * dot(
                  Samples.direction("image embeddings", i, images[i]),
                  Samples.direction("text embeddings", i, texts[i]));
    }
    double precision = TextAgreement.precision(images, texts);
    Map<String, Estimate> measures = new LinkedHashMap<>();
    measures.put("clipScore", Estimate.withError(score, Estimate.ofMean(cosines).error()));
    measures.put("rPrecision", Estimate.ofShare(precision, images.length));
    return measures;
  }

  private static Estimate share(double[] hits) {
    return Estimate.ofShare(Arrays.stream(hits).sum() / hits.length, hits.length);
  }

  private Estimate inceptionScore(float[][] logits) {
    double score = InceptionScore.of(logits, parts).mean();
    if (resamples < 2) {
      return Estimate.of(score);
    }
    InceptionScore.Shares shares = InceptionScore.Shares.of(logits);
    return Estimate.withError(
        score,
        Bootstrap.error(
            resamples, seed, logits.length, 0, (drawn, none) -> shares.score(drawn, parts)));
  }

  private Estimate vendiScore(float[][] features) {
    if (features.length > MOST_PAIRED) {
      FeatureSample sample = new FeatureSample(features[0].length, MOST_PAIRED);
      for (float[] row : features) {
        sample.add(IntStream.range(0, row.length).mapToDouble(i -> row[i]).toArray());
      }
      return Estimate.of(Diversity.vendi(sample));
    }
    double score = Diversity.vendi(features);
    if (resamples < 2 || features.length > MOST_DECOMPOSED) {
      return Estimate.of(score);
    }
    double[][] directions = new double[features.length][];
    for (int i = 0; i < directions.length; i++) {
      directions[i] = Samples.direction("features", i, features[i]);
    }
    double[][] cosines = new double[directions.length][directions.length];
    for (int i = 0; i < directions.length; i++) {
      for (int j = 0; j <= i; j++) {
        cosines[i][j] = dot(directions[i], directions[j]);
        cosines[j][i] = cosines[i][j];
      }
    }
    return Estimate.withError(
        score,
        Bootstrap.error(
            resamples, seed, features.length, 0, (drawn, none) -> vendi(cosines, drawn)));
  }

  private static double vendi(double[][] cosines, int[] drawn) {
    double[][] shares = new double[drawn.length][];
    for (int i = 0; i < drawn.length; i++) {
      double[] row = cosines[drawn[i]];
      shares[i] = Arrays.stream(drawn).mapToDouble(j -> row[j] / drawn.length).toArray();
    }
    return Math.exp(PositiveMatrix.sumOver(shares, share -> -share * Math.log(share)));
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }
}
