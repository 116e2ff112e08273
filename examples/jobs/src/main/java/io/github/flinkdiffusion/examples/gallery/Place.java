/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Where a record is in its topic; {@code 0-17} in addresses. */
record Place(int partition, long offset) {
  private static final Pattern TEXT = Pattern.compile("(\\d{1,9})-(\\d{1,18})");

  static Place parse(String text) throws Refusal {
    Matcher place = TEXT.matcher(text);
    if (!place.matches()) {
      throw Refusal.badRequest("'%s' is no place in a topic, such as 0-17.", text);
    }
    return new Place(Integer.parseInt(place.group(1)), Long.parseLong(place.group(2)));
  }

  @Override
  public String toString() {
    return partition + "-" + offset;
  }
}
