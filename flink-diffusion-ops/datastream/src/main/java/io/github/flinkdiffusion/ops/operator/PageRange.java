/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Which images of a file that has several a request works on.
 *
 * @param first counted from 0
 * @param last of them, included; {@link #ALL} for as many as there are
 */
record PageRange(int first, int last) {
  static final int ALL = -1;
  static final PageRange FIRST = new PageRange(0, 0);
  static final PageRange WHOLE = new PageRange(0, ALL);

  private static final Pattern RANGE = Pattern.compile("\\s*(\\d+)\\s*-\\s*(\\d+)\\s*");

  /**
   * @throws InvalidRequestException when it is none
   */
  static PageRange parse(String text) {
    if (text.strip().equals("all")) {
      return WHOLE;
    }
    Matcher range = RANGE.matcher(text);
    try {
      if (range.matches()) {
        PageRange pages =
            new PageRange(Integer.parseInt(range.group(1)), Integer.parseInt(range.group(2)));
        if (pages.first <= pages.last) {
          return pages;
        }
      } else {
        int number = Integer.parseInt(text.strip());
        if (number >= 0) {
          return new PageRange(number, number);
        }
      }
    } catch (NumberFormatException e) {
      // Said below, as is a number below 0.
    }
    throw new InvalidRequestException(
        "%s is '%s'; a whole number from 0 is expected, a range such as 0-99, or all."
            .formatted(Events.PAGE, text));
  }

  boolean isOne() {
    return first == last;
  }

  /**
   * The same with its end.
   *
   * @param count of images that there are
   * @param where they are, as an error names it
   * @param most that a request may have
   * @throws InvalidRequestException when there are fewer, or too many
   */
  PageRange within(long count, String where, int most, String option) {
    if (last != ALL && last >= count) {
      throw new InvalidRequestException(
          "%s is '%s', but %s has %d, counted from 0.".formatted(Events.PAGE, this, where, count));
    }
    long number = (last == ALL ? count - 1 : last) - first + 1;
    if (number > most) {
      throw new InvalidRequestException(
          "%s is '%s', which is %d of %s; at most %d are accepted (%s). Name a smaller range."
              .formatted(Events.PAGE, this, number, where, most, option));
    }
    return new PageRange(first, (int) (first + number - 1));
  }

  /** How many there are, where the end is known. */
  int size() {
    return last - first + 1;
  }

  /** As a request has it. */
  @Override
  public String toString() {
    return last == ALL ? "all" : isOne() ? Integer.toString(first) : first + "-" + last;
  }
}
