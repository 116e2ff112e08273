/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

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
          cosine(
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
    double[][] directions = new double[texts.length][];
    for (int i = 0; i < texts.length; i++) {
      directions[i] = Samples.direction("text embeddings", i, texts[i]);
    }
    int found = 0;
    for (int i = 0; i < images.length; i++) {
      double[] image = Samples.direction("image embeddings", i, images[i]);
      double own = cosine(image, directions[i]);
      boolean first = true;
      for (double[] other : directions) {
        first &= cosine(image, other) <= own;
      }
      found += first ? 1 : 0;
    }
    return (double) found / images.length;
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

  private static double cosine(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }
}
