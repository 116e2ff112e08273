/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.image.SliceOrder;
import io.github.flinkdiffusion.ops.image.SlicePlace;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Puts a series' slices into the order of their places, and finds what keeps them from a volume.
 */
final class SeriesFaults {
  private static final int MOST_NAMED = 5;

  private SeriesFaults() {}

  /** From the foot of the volume to its head, along the direction across the slices. */
  static List<GatheredSlice> ordered(List<GatheredSlice> slices) {
    Comparator<GatheredSlice> along =
        Comparator.comparingDouble(
            slice -> slice.where().map(SliceOrder::along).orElse(Double.NEGATIVE_INFINITY));
    return slices.stream().sorted(along.thenComparing(GatheredSlice::instance)).toList();
  }

  /**
   * What is wrong, in sentences that name slices by their requests.
   *
   * @param ordered all slices
   * @param expected slices; 0 if unknown
   * @return empty if they are a volume
   */
  static String of(List<GatheredSlice> ordered, int expected) {
    List<String> faults = new ArrayList<>();
    differing(ordered, faults);
    if (faults.isEmpty()) {
      if (ordered.size() > 1) {
        places(ordered, faults);
      }
      if (expected > 0 && ordered.size() != expected) {
        faults.add(0, "%d of %d slices are there".formatted(ordered.size(), expected));
      }
    }
    if (faults.isEmpty()) {
      return "";
    }
    int named = Math.min(MOST_NAMED, faults.size());
    return String.join("; ", faults.subList(0, named))
        + (faults.size() > named ? "; and %d more faults".formatted(faults.size() - named) : "");
  }

  /** Slices unlike most. */
  private static void differing(List<GatheredSlice> slices, List<String> faults) {
    String kind = most(slices.stream().map(GatheredSlice::kind).toList());
    String frame = most(slices.stream().map(GatheredSlice::frameOfReference).toList());
    Map<String, GatheredSlice> instances = new HashMap<>();
    for (GatheredSlice slice : slices) {
      if (!slice.kind().equals(kind)) {
        faults.add("%s has %s, others %s".formatted(name(slice), slice.kind(), kind));
      }
      if (!slice.frameOfReference().equals(frame)) {
        faults.add(name(slice) + " has another frame of reference than others");
      }
      if (slice.place() == null && slices.size() > 1) {
        faults.add(name(slice) + " does not say where it lies");
      }
      GatheredSlice same = instances.putIfAbsent(slice.instance(), slice);
      if (same != null) {
        faults.add(
            "%s and %s have one SOPInstanceUID but are different files"
                .formatted(name(same), name(slice)));
      }
    }
  }

  private static String most(List<String> values) {
    Map<String, Integer> counts = new HashMap<>();
    values.forEach(value -> counts.merge(value, 1, Integer::sum));
    return counts.entrySet().stream()
        .max(
            Map.Entry.<String, Integer>comparingByValue().thenComparing(Map.Entry.comparingByKey()))
        .orElseThrow()
        .getKey();
  }

  private static void places(List<GatheredSlice> ordered, List<String> faults) {
    List<SlicePlace> places = ordered.stream().map(slice -> slice.where().orElseThrow()).toList();
    faults.addAll(SliceOrder.faults(places, ordered.stream().map(SeriesFaults::name).toList()));
  }

  private static String name(GatheredSlice slice) {
    return "slice '" + slice.request() + "'";
  }
}
