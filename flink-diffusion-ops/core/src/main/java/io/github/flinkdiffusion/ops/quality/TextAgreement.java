/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import java.util.Arrays;
import org.apache.flink.annotation.Internal;

/** Whether images show what their texts say, by embeddings of both such as CLIP's. */
@Internal
public final class TextAgreement {
  private TextAgreement() {}

  /**
   * CLIPScore as torchmetrics has it: 100 times the mean cosine of image and text, at least 0. The
   * paper (J. Hessel et al., EMNLP 2021) has 2.5 in place of 100.
   *
   * @param images an embedding each
   * @param texts of each image its text's embedding
   * @throws QualityException if they are not as many, differ in length, or are zero or not finite
   */
  public static double clipScore(float[][] images, float[][] texts) {
    requirePairs(images, texts);
    double sum = 0;
    for (int i = 0; i < images.length; i++) {
      sum +=
          dot(
              Samples.direction("image embeddings", i, images[i]),
              Samples.direction("text embeddings", i, texts[i]));
    }
    return Math.max(0, 100 * sum / images.length);
  }

  /**
   * R-precision with R = 1 (T. Xu et al., CVPR 2018, with CLIP's embeddings): the share of images
   * whose own text is nearer to them than all other texts. A text that is as near as its own does
   * not count as nearer.
   *
   * @throws QualityException as {@link #clipScore}
   */
  public static double precision(float[][] images, float[][] texts) {
    requirePairs(images, texts);
    double[][] imageDirections = new double[images.length][];
    double[][] textDirections = new double[texts.length][];
    long[] counts = new long[images.length];
    for (int i = 0; i < texts.length; i++) {
      imageDirections[i] = Samples.direction("image embeddings", i, images[i]);
      textDirections[i] = Samples.direction("text embeddings", i, texts[i]);
      counts[i] = 1;
    }
    return precision(imageDirections, textDirections, counts);
  }

  /**
   * The same of a sample of pairs, each an image's embedding and its text's after it in one vector.
   * A pair counts as often as it came. Of more different pairs than the sample holds, those in it
   * are compared with each other.
   *
   * @throws QualityException if there are none, or an embedding is zero
   */
  public static double precision(FeatureSample pairs) {
    double[][] rows = pairs.rows();
    if (rows.length == 0 || pairs.features() % 2 != 0) {
      throw new QualityException(
          "Agreement of %d pairs of %d numbers; at least one, with as many for image and text, is needed"
              .formatted(rows.length, pairs.features()));
    }
    int features = pairs.features() / 2;
    double[][] images = new double[rows.length][];
    double[][] texts = new double[rows.length][];
    for (int i = 0; i < rows.length; i++) {
      images[i] =
          Samples.direction("image embeddings", i, Arrays.copyOfRange(rows[i], 0, features));
      texts[i] =
          Samples.direction(
              "text embeddings", i, Arrays.copyOfRange(rows[i], features, 2 * features));
    }
    return precision(images, texts, pairs.orderedCounts());
  }

  /** Of directions. */
  private static double precision(double[][] images, double[][] texts, long[] counts) {
    long found = 0;
    long all = 0;
    for (int i = 0; i < images.length; i++) {
      double own = dot(images[i], texts[i]);
      boolean first = true;
      for (int j = 0; j < texts.length && first; j++) {
        first = dot(images[i], texts[j]) <= own;
      }
      found += first ? counts[i] : 0;
      all += counts[i];
    }
    return (double) found / all;
  }

  /**
   * The cosine of one pair, an image's embedding and its text's after it in one vector.
   *
   * @throws QualityException if an embedding is zero
   */
  public static double cosine(double[] pair) {
    int features = pair.length / 2;
    return dot(
        Samples.direction("image embeddings", 0, Arrays.copyOfRange(pair, 0, features)),
        Samples.direction("text embeddings", 0, Arrays.copyOfRange(pair, features, pair.length)));
  }

  private static void requirePairs(float[][] images, float[][] texts) {
    if (images.length == 0 || images.length != texts.length) {
      throw new QualityException(
          "Agreement of %d images and %d texts; equally many are needed, at least 1"
              .formatted(images.length, texts.length));
    }
    Samples.requireAlike("image embeddings", images, images[0].length);
    Samples.requireAlike("text embeddings", texts, images[0].length);
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }
}
