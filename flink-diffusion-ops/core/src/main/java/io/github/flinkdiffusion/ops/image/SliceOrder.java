/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * Whether slices are a volume: parallel, and each as far from the next as any other. Positions in
 * files are rounded, so a slice may lie a tenth of the distance from where it should, and at most a
 * tenth of a millimetre.
 */
@Internal
public final class SliceOrder {
  private static final double MOST_OFF_MILLIMETRES = 0.1;
  private static final double MOST_OFF = 0.1;

  /** Of directions, whose lengths are 1. */
  private static final double SAME_DIRECTION = 1e-3;

  private SliceOrder() {}

  /** How far a slice lies along the direction that its pixels span, in millimetres. */
  public static double along(SlicePlace place) {
    SlicePlace.Vector across = across(place);
    SlicePlace.Vector at = place.position();
    return across.x() * at.x() + across.y() * at.y() + across.z() * at.z();
  }

  private static SlicePlace.Vector across(SlicePlace place) {
    SlicePlace.Vector row = place.alongRow();
    SlicePlace.Vector column = place.alongColumn();
    return new SlicePlace.Vector(
        row.y() * column.z() - row.z() * column.y(),
        row.z() * column.x() - row.x() * column.z(),
        row.x() * column.y() - row.y() * column.x());
  }

  /** A slice as far from another one, in the direction that its pixels span. */
  static SlicePlace shifted(SlicePlace place, double millimetres) {
    return new SlicePlace(
        place.position().plus(across(place), millimetres), place.alongRow(), place.alongColumn());
  }

  /** Whether two slices lie the same way round, so that they are parallel. */
  public static boolean parallel(SlicePlace one, SlicePlace other) {
    return one.alongRow().plus(other.alongRow(), -1).length() < SAME_DIRECTION
        && one.alongColumn().plus(other.alongColumn(), -1).length() < SAME_DIRECTION;
  }

  /** From a slice to the next one, in millimetres; 0 of one slice alone. */
  public static SlicePlace.Vector step(List<SlicePlace> places) {
    int last = places.size() - 1;
    SlicePlace.Vector none = new SlicePlace.Vector(0, 0, 0);
    if (last < 1) {
      return none;
    }
    SlicePlace.Vector whole = places.get(last).position().plus(places.get(0).position(), -1);
    return none.plus(whole, 1.0 / last);
  }

  /**
   * What keeps slices from being a volume.
   *
   * @param places in their order
   * @param names what each is called
   * @return a clause for each fault, which names the slices; none if they are a volume
   */
  public static List<String> faults(List<SlicePlace> places, List<String> names) {
    List<String> faults = new ArrayList<>();
    int usualOne = parallelToMost(places);
    for (int i = 0; i < places.size(); i++) {
      if (!parallel(places.get(usualOne), places.get(i))) {
        faults.add("%s is not parallel to %s".formatted(names.get(i), names.get(usualOne)));
      }
    }
    if (!faults.isEmpty() || places.size() < 2) {
      return faults;
    }
    double[] distances = new double[places.size() - 1];
    for (int i = 0; i < distances.length; i++) {
      distances[i] = along(places.get(i + 1)) - along(places.get(i));
    }
    double usual = usual(distances);
    double off = Math.min(MOST_OFF_MILLIMETRES, MOST_OFF * Math.abs(usual));
    for (int i = 0; i < distances.length; i++) {
      String pair = "%s and %s".formatted(names.get(i), names.get(i + 1));
      if (Math.abs(distances[i]) < 1e-3) {
        faults.add(pair + " lie in the same place");
      } else if (Math.abs(distances[i] - usual) > 2 * off) {
        faults.add(
            "%s are %s mm apart, others %s mm"
                .formatted(pair, rounded(Math.abs(distances[i])), rounded(Math.abs(usual))));
      }
    }
    SlicePlace.Vector step = step(places);
    for (int i = 1; faults.isEmpty() && i < places.size(); i++) {
      double beside =
          places.get(i).position().plus(places.get(0).position(), -1).plus(step, -i).length();
      if (beside > off + 1e-3) {
        faults.add("%s is %s mm out of line".formatted(names.get(i), rounded(beside)));
      }
    }
    return faults;
  }

  /** The first slice that more than half are parallel to; else the first of all. */
  private static int parallelToMost(List<SlicePlace> places) {
    for (int i = 0; i < places.size(); i++) {
      SlicePlace one = places.get(i);
      if (2 * places.stream().filter(other -> parallel(one, other)).count() > places.size()) {
        return i;
      }
    }
    return 0;
  }

  /** The median, the smaller one of two: what is missing makes distances larger. */
  private static double usual(double[] distances) {
    double[] sorted = Arrays.stream(distances).map(Math::abs).sorted().toArray();
    return Math.copySign(sorted[(sorted.length - 1) / 2], Arrays.stream(distances).sum());
  }

  private static String rounded(double millimetres) {
    return DicomElements.decimal(Math.rint(millimetres * 1000) / 1000);
  }
}
