/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.flink.annotation.Internal;

/**
 * Average precision of found boxes, as COCO measures it (Lin et al. 2014, Microsoft COCO; the class
 * {@code COCOeval} of pycocotools): for boxes of all sizes, at most 100 an image and category.
 *
 * <p>In the order of their scores, found boxes take the true box of their image and category that
 * they overlap most, and each true box is taken once. Precision is read at 101 recalls, from the
 * curve without its dips, and averaged over the recalls and over ten thresholds of overlap.
 *
 * @param mean mAP, over the thresholds 0.50 to 0.95 and all categories; 0 to 1
 * @param at50 over all categories, where half of the common area is enough
 * @param at75 over all categories, where three quarters are needed
 * @param byCategory over all thresholds; of categories that have true boxes
 */
@Internal
public record DetectionPrecision(
    double mean, double at50, double at75, SortedMap<String, Double> byCategory) {
  private static final int MOST_FOUND = 100;
  private static final int RECALLS = 101;
  private static final int THRESHOLDS = 10;

  public DetectionPrecision {
    byCategory = Collections.unmodifiableSortedMap(new TreeMap<>(byCategory));
  }

  /**
   * A true box.
   *
   * @param x of its left side
   * @param y of its upper side
   */
  public record Box(double x, double y, double width, double height) {
    public Box {
      for (double value : new double[] {x, y, width, height}) {
        if (!Double.isFinite(value) || width < 0 || height < 0) {
          throw new QualityException(
              "A box of %s x %s at %s, %s; finite numbers and sizes from 0 are accepted"
                  .formatted(width, height, x, y));
        }
      }
    }

    /** The common area over that of either, 0 to 1. */
    public double intersectionOverUnion(Box other) {
      double w = Math.min(x + width, other.x + other.width) - Math.max(x, other.x);
      double h = Math.min(y + height, other.y + other.height) - Math.max(y, other.y);
      if (w <= 0 || h <= 0) {
        return 0;
      }
      return w * h / (width * height + other.width * other.height - w * h);
    }
  }

  /** A box that is there. */
  public record Truth(String image, String category, Box box) {
    public Truth {
      Objects.requireNonNull(image, "image");
      Objects.requireNonNull(category, "category");
      Objects.requireNonNull(box, "box");
    }
  }

  /**
   * A box that a model has found.
   *
   * @param score higher is surer
   */
  public record Found(String image, String category, Box box, double score) {
    public Found {
      Objects.requireNonNull(image, "image");
      Objects.requireNonNull(category, "category");
      Objects.requireNonNull(box, "box");
      if (!Double.isFinite(score)) {
        throw new QualityException(
            "A found box of image '%s' has the score %s; a finite number is accepted"
                .formatted(image, score));
      }
    }
  }

  /**
   * @param truths of all images
   * @param found of the same images, in any order; of equal scores, the earlier one counts first
   * @throws QualityException if there is no true box
   */
  public static DetectionPrecision of(List<Truth> truths, List<Found> found) {
    if (truths.isEmpty()) {
      throw new QualityException("Average precision needs at least one true box; there is none");
    }
    SortedMap<String, Double> byCategory = new TreeMap<>();
    double[] mean = new double[THRESHOLDS];
    Map<String, List<Truth>> categories = new TreeMap<>();
    truths.forEach(
        truth -> categories.computeIfAbsent(truth.category, any -> new ArrayList<>()).add(truth));
    categories.forEach(
        (category, there) -> {
          double[] precisions =
              precisions(
                  there, found.stream().filter(one -> one.category.equals(category)).toList());
          byCategory.put(category, Arrays.stream(precisions).average().orElseThrow());
          for (int i = 0; i < THRESHOLDS; i++) {
            mean[i] += precisions[i] / categories.size();
          }
        });
    return new DetectionPrecision(
        Arrays.stream(mean).average().orElseThrow(), mean[0], mean[5], byCategory);
  }

  /** One for each threshold, of one category. */
  private static double[] precisions(List<Truth> truths, List<Found> found) {
    SortedSet<String> images = new TreeSet<>();
    truths.forEach(truth -> images.add(truth.image));
    found.forEach(one -> images.add(one.image));
    List<Match> matches = new ArrayList<>();
    for (String image : images) {
      List<Box> there =
          truths.stream().filter(one -> one.image.equals(image)).map(Truth::box).toList();
      List<Found> here =
          found.stream()
              .filter(one -> one.image.equals(image))
              .sorted(Comparator.comparingDouble(Found::score).reversed())
              .limit(MOST_FOUND)
              .toList();
      matches.addAll(matches(there, here));
    }
    matches.sort(Comparator.comparingDouble(Match::score).reversed());
    double[] precisions = new double[THRESHOLDS];
    for (int i = 0; i < THRESHOLDS; i++) {
      precisions[i] = precision(matches, i, truths.size());
    }
    return precisions;
  }

  /**
   * A found box.
   *
   * @param right whether it took a true box, for each threshold
   */
  private record Match(double score, boolean[] right) {}

  /** As numpy's linspace rounds it: overlaps of whole pixels often lie on a threshold. */
  private static double threshold(int index) {
    return index == THRESHOLDS - 1 ? 0.95 : 0.5 + index * ((0.95 - 0.5) / (THRESHOLDS - 1));
  }

  /** Likewise: of 40 true boxes, 14 are a recall below the 36th of the 101. */
  private static double recall(int index) {
    return index == RECALLS - 1 ? 1 : index * (1.0 / (RECALLS - 1));
  }

  private static List<Match> matches(List<Box> truths, List<Found> found) {
    boolean[][] taken = new boolean[THRESHOLDS][truths.size()];
    List<Match> matches = new ArrayList<>();
    for (Found one : found) {
      double[] overlaps = truths.stream().mapToDouble(one.box::intersectionOverUnion).toArray();
      boolean[] right = new boolean[THRESHOLDS];
      for (int i = 0; i < THRESHOLDS; i++) {
        int best = -1;
        double least = Math.min(threshold(i), 1 - 1e-10);
        for (int j = 0; j < overlaps.length; j++) {
          if (!taken[i][j] && overlaps[j] >= least) {
            best = j;
            least = overlaps[j];
          }
        }
        if (best >= 0) {
          taken[i][best] = true;
          right[i] = true;
        }
      }
      matches.add(new Match(one.score, right));
    }
    return matches;
  }

  private static double precision(List<Match> matches, int threshold, int truths) {
    int count = matches.size();
    double[] recall = new double[count];
    double[] precision = new double[count];
    int right = 0;
    for (int i = 0; i < count; i++) {
      right += matches.get(i).right[threshold] ? 1 : 0;
      recall[i] = (double) right / truths;
      precision[i] = (double) right / (i + 1);
    }
    for (int i = count - 2; i >= 0; i--) {
      precision[i] = Math.max(precision[i], precision[i + 1]);
    }
    double sum = 0;
    int at = 0;
    for (int i = 0; i < RECALLS; i++) {
      while (at < count && recall[at] < recall(i)) {
        at++;
      }
      sum += at < count ? precision[at] : 0;
    }
    return sum / RECALLS;
  }
}
