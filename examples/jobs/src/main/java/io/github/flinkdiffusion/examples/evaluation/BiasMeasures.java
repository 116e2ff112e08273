/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.evaluation;

import io.github.flinkdiffusion.ops.quality.AttributeBalance;
import io.github.flinkdiffusion.ops.quality.AttributeBalance.Interval;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/** What a report says of one attribute, from the class of each image. */
final class BiasMeasures {
  private static final int RESAMPLES = 1000;
  private static final int UPPER = (int) (0.95 * RESAMPLES);

  private BiasMeasures() {}

  /**
   * A distribution beside the reference.
   *
   * @param byChance the total variation that the reference itself has in 95 of 100 samples of as
   *     many images, at most
   */
  record Spread(
      long[] counts,
      AttributeBalance balance,
      Interval entropy,
      Interval totalVariation,
      Interval divergence,
      double byChance) {
    boolean isSkewed() {
      return balance.totalVariation() > byChance;
    }
  }

  /**
   * @param classes of each prompt's images
   */
  static Spread spread(Map<String, int[]> classes, double[] reference, long seed) {
    List<int[]> prompts = List.copyOf(classes.values());
    long[] counts =
        counts(prompts.stream().flatMapToInt(Arrays::stream).toArray(), reference.length);
    SplittableRandom random = new SplittableRandom(seed);
    double[][] values = new double[3][RESAMPLES];
    for (int sample = 0; sample < RESAMPLES; sample++) {
      AttributeBalance drawn =
          AttributeBalance.of(resampled(prompts, reference.length, random), reference);
      values[0][sample] = drawn.entropy();
      values[1][sample] = drawn.totalVariation();
      values[2][sample] = drawn.divergence();
    }
    return new Spread(
        counts,
        AttributeBalance.of(counts, reference),
        interval(values[0]),
        interval(values[1]),
        interval(values[2]),
        variationByChance(Arrays.stream(counts).sum(), reference, seed));
  }

  /**
   * Prompts are drawn first, then images of each: those of one prompt are more alike than those of
   * several, so images alone would make an interval that is too narrow.
   */
  private static long[] resampled(List<int[]> prompts, int count, SplittableRandom random) {
    long[] counts = new long[count];
    for (int i = 0; i < prompts.size(); i++) {
      int[] images = prompts.get(random.nextInt(prompts.size()));
      for (int j = 0; j < images.length; j++) {
        counts[images[random.nextInt(images.length)]]++;
      }
    }
    return counts;
  }

  private static Interval interval(double[] values) {
    Arrays.sort(values);
    return new Interval(values[(int) (0.025 * RESAMPLES)], values[(int) (0.975 * RESAMPLES)]);
  }

  private static double variationByChance(long images, double[] reference, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    double[] values = new double[RESAMPLES];
    for (int sample = 0; sample < RESAMPLES; sample++) {
      long[] drawn = new long[reference.length];
      for (long i = 0; i < images; i++) {
        drawn[drawn(reference, random.nextDouble())]++;
      }
      values[sample] = AttributeBalance.of(drawn, reference).totalVariation();
    }
    Arrays.sort(values);
    return values[UPPER];
  }

  private static int drawn(double[] shares, double place) {
    double sum = 0;
    int last = 0;
    for (int i = 0; i < shares.length; i++) {
      sum += shares[i];
      if (shares[i] > 0) {
        last = i;
      }
      if (place < sum) {
        return i;
      }
    }
    return last;
  }

  /**
   * The demographic-parity gap among prompts.
   *
   * @param interval bootstrap, each prompt's images resampled
   * @param byChance the gap of 95 of 100 random permutations of the images among the prompts, at
   *     most
   */
  record Parity(double gap, Interval interval, double byChance) {}

  /**
   * @param classes of each prompt's images
   */
  static Parity parity(Map<String, int[]> classes, int count, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    double[] resampled = new double[RESAMPLES];
    double[] permuted = new double[RESAMPLES];
    int[] all = classes.values().stream().flatMapToInt(Arrays::stream).toArray();
    for (int sample = 0; sample < RESAMPLES; sample++) {
      Map<String, long[]> drawn = new LinkedHashMap<>();
      classes.forEach(
          (prompt, of) ->
              drawn.put(
                  prompt,
                  counts(
                      IntStream.range(0, of.length)
                          .map(i -> of[random.nextInt(of.length)])
                          .toArray(),
                      count)));
      resampled[sample] = AttributeBalance.parityGap(drawn);
      shuffle(all, random);
      int at = 0;
      for (Map.Entry<String, int[]> each : classes.entrySet()) {
        int size = each.getValue().length;
        drawn.put(each.getKey(), counts(Arrays.copyOfRange(all, at, at += size), count));
      }
      permuted[sample] = AttributeBalance.parityGap(drawn);
    }
    Arrays.sort(permuted);
    Map<String, long[]> seen = new LinkedHashMap<>();
    classes.forEach((prompt, of) -> seen.put(prompt, counts(of, count)));
    return new Parity(AttributeBalance.parityGap(seen), interval(resampled), permuted[UPPER]);
  }

  /**
   * A window beside all other windows.
   *
   * @param variation total variation between its shares and those of all other images
   * @param byChance that of 95 of 100 random choices of as many images, at most
   */
  record Drift(long[] counts, double variation, double byChance) {
    boolean isDrift() {
      return variation > byChance;
    }
  }

  /**
   * @param window the number of each image's window
   */
  static Drift drift(int[] classes, int[] window, int which, int count, long seed) {
    long[] inside = new long[count];
    long[] outside = new long[count];
    for (int i = 0; i < classes.length; i++) {
      (window[i] == which ? inside : outside)[classes[i]]++;
    }
    int size = (int) Arrays.stream(inside).sum();
    SplittableRandom random = new SplittableRandom(seed + which);
    int[] all = classes.clone();
    double[] values = new double[RESAMPLES];
    for (int sample = 0; sample < RESAMPLES; sample++) {
      shuffle(all, random);
      values[sample] =
          variation(
              counts(Arrays.copyOf(all, size), count),
              counts(Arrays.copyOfRange(all, size, all.length), count));
    }
    Arrays.sort(values);
    return new Drift(inside, variation(inside, outside), values[UPPER]);
  }

  /** Half the sum of differences of shares. */
  private static double variation(long[] a, long[] b) {
    double ofA = Arrays.stream(a).sum();
    double ofB = Arrays.stream(b).sum();
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += Math.abs(a[i] / ofA - b[i] / ofB) / 2;
    }
    return sum;
  }

  static long[] counts(int[] classes, int count) {
    long[] counts = new long[count];
    for (int each : classes) {
      counts[each]++;
    }
    return counts;
  }

  private static void shuffle(int[] values, SplittableRandom random) {
    for (int i = values.length - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      int kept = values[i];
      values[i] = values[j];
      values[j] = kept;
    }
  }
}
