/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.PriorityQueue;
import java.util.function.IntPredicate;
import java.util.function.IntToDoubleFunction;

/**
 * Finds the connected areas of every class but the background. Pixels of one class are connected if
 * they share an edge or a corner.
 *
 * <p>A noisy picture may have millions of areas, and an event has room for some: the {@link Limits}
 * say for how many. Memory is three bits a pixel and what the regions' outlines take.
 *
 * <pre>{@code
 * Decision decision = Decision.of(map, Ensemble.of(shares).mean());
 * Regions found = new RegionFinder(map, RegionFinder.Limits.DEFAULT)
 *     .find(decision.classes(), Optional.of(pixel -> decision.score().data()[pixel]), scene.metadata());
 * }</pre>
 */
final class RegionFinder {

  /**
   * How much is told.
   *
   * @param regions the largest so many are kept, of equal ones those whose first pixel comes first
   * @param leastPixels smaller areas are left out
   * @param points of all outlines; the largest regions get theirs first, and one that needs more
   *     than are left gets none
   */
  public record Limits(int regions, long leastPixels, int points) {
    /** About half a megabyte of outlines. */
    public static final Limits DEFAULT = new Limits(1000, 1, 20_000);

    /** The same, where areas are to have so many pixels. */
    public Limits withLeastPixels(long pixels) {
      return new Limits(regions, pixels, points);
    }

    public Limits {
      if (regions < 0 || leastPixels < 1 || points < 0) {
        throw new IllegalArgumentException(
            "At most %d regions of at least %d pixels with at most %d points"
                .formatted(regions, leastPixels, points));
      }
    }
  }

  /** An area by its first pixel. */
  private record Found(int start, long area) {
    /** What is left out first comes first. */
    static final Comparator<Found> WORST_FIRST =
        Comparator.comparingLong(Found::area)
            .thenComparing(Comparator.comparingInt(Found::start).reversed());
  }

  private final ClassMap map;
  private final Limits limits;

  public RegionFinder(ClassMap map, Limits limits) {
    this.map = Objects.requireNonNull(map, "map");
    this.limits = Objects.requireNonNull(limits, "limits");
  }

  /**
   * @param classes of the picture
   * @param score of the class of a pixel, given as {@code y * width + x}; a region's is the mean.
   *     Empty when nothing tells, as with a single sample of a model that votes
   * @param metadata of the picture
   */
  public Regions find(
      ClassRaster classes, Optional<IntToDoubleFunction> score, ImageMetadata metadata) {
    return find(classes, new BitSet(), score, metadata);
  }

  /**
   * As {@link #find(ClassRaster, Optional, ImageMetadata)}, where no region has pixels that hold no
   * data.
   *
   * @param noData those pixels, {@code y * width + x}
   */
  public Regions find(
      ClassRaster classes,
      BitSet noData,
      Optional<IntToDoubleFunction> score,
      ImageMetadata metadata) {
    Place place = new Place(metadata);
    List<Found> largest = largest(classes, noData);
    BitSet taken = new BitSet();
    int points = limits.points();
    List<Region> regions = new ArrayList<>(largest.size());
    for (Found found : largest) {
      Runs runs = connected(classes, noData, found.start(), taken);
      Optional<Outline> outline = Outline.of(runs, points);
      points -= outline.map(Outline::points).orElse(0);
      regions.add(
          new Region(
              map.labels().get(classes.numbers()[found.start()] & 0xff),
              score.map(scores -> mean(scores, classes.width(), runs)).orElse(null),
              found.area(),
              place.area(runs),
              place.areaUnit(),
              runs.box(),
              outline.map(place::geoJson).orElse(null)));
    }
    return new Regions(place.crs(), regions);
  }

  private List<Found> largest(ClassRaster classes, BitSet noData) {
    PriorityQueue<Found> kept = new PriorityQueue<>(Found.WORST_FIRST);
    BitSet taken = new BitSet(classes.numbers().length);
    taken.or(noData);
    for (int pixel = taken.nextClearBit(0);
        pixel < classes.numbers().length;
        pixel = taken.nextClearBit(pixel + 1)) {
      int number = classes.numbers()[pixel] & 0xff;
      if (number >= map.classes()) {
        throw new IllegalArgumentException(
            "A pixel of class %d of %d".formatted(number, map.classes()));
      }
      if (map.isBackground(number)) {
        continue;
      }
      long area = connected(classes, noData, pixel, taken).area();
      if (area >= limits.leastPixels()) {
        kept.add(new Found(pixel, area));
        if (kept.size() > limits.regions()) {
          kept.remove();
        }
      }
    }
    return kept.stream().sorted(Found.WORST_FIRST.reversed()).toList();
  }

  private static Runs connected(ClassRaster classes, BitSet noData, int start, BitSet taken) {
    byte[] numbers = classes.numbers();
    byte own = numbers[start];
    IntPredicate members = pixel -> numbers[pixel] == own && !noData.get(pixel);
    return Runs.connected(classes.width(), classes.height(), start, members, taken, true);
  }

  private static double mean(IntToDoubleFunction score, int width, Runs runs) {
    double sum = 0;
    for (int i = 0; i < runs.count(); i++) {
      for (int x = runs.left(i); x <= runs.right(i); x++) {
        sum += score.applyAsDouble(runs.y(i) * width + x);
      }
    }
    return sum / runs.area();
  }
}
