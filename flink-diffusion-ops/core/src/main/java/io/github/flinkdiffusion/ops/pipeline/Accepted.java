/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.math.BigDecimal;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Objects;
import java.util.Set;
import java.util.function.DoublePredicate;
import java.util.function.Predicate;

/**
 * The values that a {@link Parameter} accepts: in words, and as a check. Both are in one object so
 * that they cannot differ.
 *
 * @param words the end of the sentence "it must be ..."
 */
record Accepted<T>(String words, Predicate<T> check) {
  Accepted {
    Objects.requireNonNull(words);
    Objects.requireNonNull(check);
  }

  /** All values of the type. */
  static <T> Accepted<T> any(String words) {
    return new Accepted<>(words, value -> true);
  }

  // ------------------------------------------------------------------ a whole number

  static Accepted<Long> flag() {
    return new Accepted<>("0 or 1", value -> value == 0 || value == 1);
  }

  static Accepted<Long> whole() {
    return new Accepted<>(
        "a whole number", value -> value >= Integer.MIN_VALUE && value <= Integer.MAX_VALUE);
  }

  static Accepted<Long> whole(long least, long most) {
    return new Accepted<>(
        "a whole number from %d to %d".formatted(least, most),
        value -> value >= least && value <= most);
  }

  /** Up to the greatest int. */
  static Accepted<Long> wholeFrom(long least) {
    return new Accepted<>(
        "a whole number from " + least, value -> value >= least && value <= Integer.MAX_VALUE);
  }

  // ------------------------------------------------------------------ a number

  static Accepted<Double> number(double least, double most) {
    return new Accepted<>(
        "a number from %s to %s".formatted(written(least), written(most)),
        value -> value >= least && value <= most);
  }

  /** Part of a whole that is not nothing. */
  static Accepted<Double> share() {
    return new Accepted<>("a number above 0, up to 1", value -> value > 0 && value <= 1);
  }

  static Accepted<Double> finite() {
    return new Accepted<>("a finite number", Double::isFinite);
  }

  /**
   * @param meaning of some of the numbers
   */
  static Accepted<Double> finite(String meaning) {
    return new Accepted<>("a finite number, " + meaning, Double::isFinite);
  }

  static Accepted<Double> finiteFrom0() {
    return new Accepted<>(
        "a finite number of 0 or more", value -> Double.isFinite(value) && value >= 0);
  }

  static Accepted<Double> finiteFrom1() {
    return new Accepted<>(
        "a finite number, 1 or more", value -> Double.isFinite(value) && value >= 1);
  }

  private static String written(double number) {
    return BigDecimal.valueOf(number).stripTrailingZeros().toPlainString();
  }

  // ------------------------------------------------------------------ several numbers

  static Accepted<Numbers> finiteNumbers() {
    return new Accepted<>("finite numbers", numbers -> some(numbers, Double::isFinite));
  }

  static Accepted<Numbers> shares() {
    return new Accepted<>(
        "numbers from 0 to 1", numbers -> some(numbers, share -> share >= 0 && share <= 1));
  }

  /** Two shares. */
  static Accepted<Numbers> interval() {
    return new Accepted<>(
        "two numbers from 0 to 1, the first less than the second",
        pair -> pair.size() == 2 && pair.at(0) >= 0 && pair.at(0) < pair.at(1) && pair.at(1) <= 1);
  }

  /** Lengths or places of an image, which may lie between pixels. */
  static Accepted<Numbers> pixels() {
    return new Accepted<>(
        "two numbers from 0 to a million",
        pair -> pair.size() == 2 && some(pair, pixels -> pixels >= 0 && pixels <= 1e6));
  }

  /** A pixel of an image. */
  static Accepted<Numbers> pixel() {
    return new Accepted<>(
        "two whole numbers from 0", pair -> pair.size() == 2 && some(pair, Accepted::isWholeFrom0));
  }

  static Accepted<Numbers> colors() {
    return new Accepted<>(
        "three whole numbers from 0 to 255 for each label",
        colors ->
            colors.size() % 3 == 0
                && Arrays.stream(colors.values())
                    .allMatch(band -> isWholeFrom0(band) && band <= 255));
  }

  static Accepted<Numbers> layers() {
    return new Accepted<>(
        "different whole numbers from 0 to 999",
        numbers -> {
          Set<Double> different = new HashSet<>();
          return some(
              numbers,
              layer ->
                  layer >= 0 && layer <= 999 && layer == Math.rint(layer) && different.add(layer));
        });
  }

  static Accepted<Numbers> falling() {
    return new Accepted<>("falling numbers of 0 or more", Accepted::isFalling);
  }

  private static boolean isFalling(Numbers numbers) {
    boolean falling = numbers.size() > 0;
    for (int i = 0; i < numbers.size(); i++) {
      double above = i == 0 ? Double.POSITIVE_INFINITY : numbers.at(i - 1);
      falling &= numbers.at(i) >= 0 && numbers.at(i) < above;
    }
    return falling;
  }

  /** At least one, and all are. */
  private static boolean some(Numbers numbers, DoublePredicate check) {
    return numbers.size() > 0 && Arrays.stream(numbers.values()).allMatch(check);
  }

  private static boolean isWholeFrom0(double number) {
    return number >= 0 && number <= Integer.MAX_VALUE && number == Math.rint(number);
  }
}
