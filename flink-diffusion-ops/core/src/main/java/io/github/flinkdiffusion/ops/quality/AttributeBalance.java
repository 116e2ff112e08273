/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import java.util.Arrays;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.ToDoubleFunction;
import org.apache.flink.annotation.Internal;

/**
 * How evenly an attribute of generated images is spread, such as a class that a classifier gives
 * each image, beside a stated reference.
 *
 * @param entropy in nats, 0 where all images are of one class
 * @param evenness entropy over that of the even distribution, 0 to 1; 1 for a single class
 * @param totalVariation half the sum of differences from the reference, 0 to 1
 * @param divergence Kullback-Leibler, of the images from the reference, in nats; infinite if a
 *     class is there that the reference excludes
 */
@Internal
public record AttributeBalance(
    double entropy, double evenness, double totalVariation, double divergence) {
  private static final int RESAMPLES = 1000;
  private static final double MOST_IMAGES = 1e6;

  /**
   * Two bounds of a measure.
   *
   * @param low 2.5 %
   * @param high 97.5 %
   */
  public record Interval(double low, double high) {}

  /**
   * @param counts images of each class
   * @param reference the expected share of each class; they sum up to 1
   * @throws QualityException for unequal numbers of classes, no images, or shares that are none
   */
  public static AttributeBalance of(long[] counts, double[] reference) {
    double total = total(counts);
    double sum = Arrays.stream(reference).sum();
    if (reference.length != counts.length
        || Arrays.stream(reference).anyMatch(share -> !(share >= 0))
        || !(Math.abs(sum - 1) < 1e-6)) {
      throw new QualityException(
          "A reference of %d shares that sum up to %s, for %d classes; as many shares from 0 are needed, with the sum 1"
              .formatted(reference.length, sum, counts.length));
    }
    double entropy = 0;
    double variation = 0;
    double divergence = 0;
    for (int i = 0; i < counts.length; i++) {
      double share = counts[i] / total;
      variation += Math.abs(share - reference[i]) / 2;
      if (share > 0) {
        entropy -= share * Math.log(share);
        divergence += share * Math.log(share / reference[i]);
      }
    }
    double evenness = counts.length == 1 ? 1 : entropy / Math.log(counts.length);
    return new AttributeBalance(entropy, evenness, variation, divergence);
  }

  /** The reference of equal shares. */
  public static double[] even(int classes) {
    double[] shares = new double[classes];
    Arrays.fill(shares, 1.0 / classes);
    return shares;
  }

  /**
   * The demographic-parity gap: the largest difference between two groups in the share of one
   * class, 0 to 1.
   *
   * @param countsByGroup images of each class, by a group such as a prompt
   * @throws QualityException for fewer than two groups, unequal numbers of classes, or a group
   *     without images
   */
  public static double parityGap(Map<String, long[]> countsByGroup) {
    if (countsByGroup.size() < 2) {
      throw new QualityException(
          "A parity gap compares two groups, at least; there are " + countsByGroup.size());
    }
    int classes = countsByGroup.values().iterator().next().length;
    double gap = 0;
    for (int i = 0; i < classes; i++) {
      double least = 1;
      double most = 0;
      for (Map.Entry<String, long[]> group : countsByGroup.entrySet()) {
        long[] counts = group.getValue();
        if (counts.length != classes) {
          throw new QualityException(
              "Group '%s' has %d classes, another one %d; the same number is needed"
                  .formatted(group.getKey(), counts.length, classes));
        }
        double share = counts[i] / total(counts);
        least = Math.min(least, share);
        most = Math.max(most, share);
      }
      gap = Math.max(gap, most - least);
    }
    return gap;
  }

  /**
   * A bootstrap interval of a measure, of 95 %: 1000 samples of as many images from the counts.
   *
   * @param measure of counts, such as {@code counts -> of(counts, reference).totalVariation()}
   * @param seed the same one gives the same interval
   * @throws QualityException without images, or for more than a million
   */
  public static Interval interval(long[] counts, ToDoubleFunction<long[]> measure, long seed) {
    double total = total(counts);
    if (total > MOST_IMAGES) {
      throw new QualityException(
          "An interval of %.0f images; at most %.0f are resampled".formatted(total, MOST_IMAGES));
    }
    int[] classOf = new int[(int) total];
    int at = 0;
    for (int i = 0; i < counts.length; i++) {
      Arrays.fill(classOf, at, at += (int) counts[i], i);
    }
    SplittableRandom random = new SplittableRandom(seed);
    double[] values = new double[RESAMPLES];
    for (int sample = 0; sample < RESAMPLES; sample++) {
      long[] drawn = new long[counts.length];
      for (int i = 0; i < classOf.length; i++) {
        drawn[classOf[random.nextInt(classOf.length)]]++;
      }
      values[sample] = measure.applyAsDouble(drawn);
    }
    Arrays.sort(values);
    return new Interval(values[(int) (0.025 * RESAMPLES)], values[(int) (0.975 * RESAMPLES)]);
  }

  private static double total(long[] counts) {
    double total = 0;
    for (long count : counts) {
      if (count < 0) {
        throw new QualityException("A class has %d images; 0 is the least".formatted(count));
      }
      total += count;
    }
    if (total == 0) {
      throw new QualityException("Shares of no images; at least one image is needed");
    }
    return total;
  }
}
