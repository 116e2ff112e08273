/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.Georeference;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.MapProjection;
import io.github.flinkdiffusion.ops.image.PixelSpacing;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;

/** Where a picture's pixels lie and how large they are: for outlines and areas. */
final class Place {
  /** Decimals of a coordinate: this part of a pixel, one to ten thousand, is still told. */
  private static final double TOLD = 1e-4;

  private static final int MOST_DECIMALS = 15;

  private static final double METRES_OF_A_DEGREE = 111_320;

  private final Optional<Georeference> earth;
  private final Optional<PixelSpacing> spacing;

  /** To longitude and latitude; empty for a coordinate system that is not known that well. */
  private final Optional<MapProjection> projection;

  private final int decimals;
  private final boolean mirrored;

  Place(ImageMetadata metadata) {
    this.earth =
        metadata
            .georeference()
            .filter(where -> where.crs().isPresent() && usable(where.pixelSides()));
    this.spacing = metadata.spacing();
    double[] sides = earth.flatMap(Georeference::pixelSides).orElse(new double[] {1, 0, 0, 1});
    double determinant = determinant(sides);
    this.mirrored = determinant < 0;
    double side = Math.sqrt(Math.abs(determinant));
    this.projection =
        earth.flatMap(where -> MapProjection.of(where.epsg().orElse(0))).filter(this::isInside);
    boolean toDegrees = projection.filter(known -> !isDegrees(known)).isPresent();
    double told = toDegrees ? side * TOLD / METRES_OF_A_DEGREE : side * TOLD;
    this.decimals = (int) Math.max(0, Math.min(MOST_DECIMALS, Math.ceil(-Math.log10(told))));
  }

  private static boolean usable(Optional<double[]> sides) {
    return sides.isPresent()
        && Double.isFinite(determinant(sides.get()))
        && determinant(sides.get()) != 0;
  }

  private static double determinant(double[] sides) {
    return sides[0] * sides[3] - sides[1] * sides[2];
  }

  private static boolean isDegrees(MapProjection known) {
    return known instanceof MapProjection.Geographic;
  }

  /** Whether a corner's place can be told at all: files may say anything. */
  private boolean isInside(MapProjection known) {
    double[] corner = earth.flatMap(where -> where.toModel(0, 0)).orElseThrow();
    MapProjection.Degrees degrees = known.toDegrees(corner[0], corner[1]);
    return Double.isFinite(degrees.longitude()) && Double.isFinite(degrees.latitude());
  }

  /**
   * What coordinates are in: longitude and latitude on WGS 84, as RFC 7946 wants it, or the
   * source's own system where it is not known how to come from there to these. Empty if in pixels.
   */
  Optional<String> crs() {
    return projection.isPresent() ? Optional.of("EPSG:4326") : earth.flatMap(Georeference::crs);
  }

  /** Unit of areas; null where the size of pixels is not known. */
  String areaUnit() {
    if (earth.isPresent() && earth.get().squareMetres(0).isPresent()) {
      return "m2";
    }
    return spacing.isPresent() ? "mm2" : null;
  }

  /** Area of the pixels of some runs in the unit; null without one. */
  Double area(Runs runs) {
    if (areaUnit() == null) {
      return null;
    }
    double area = 0;
    for (int i = 0; i < runs.count(); i++) {
      area += (runs.right(i) - runs.left(i) + 1) * pixelArea(runs.y(i));
    }
    return area;
  }

  private double pixelArea(int row) {
    OptionalDouble metres =
        earth.isPresent() ? earth.get().squareMetres(row) : OptionalDouble.empty();
    return metres.isPresent()
        ? metres.getAsDouble()
        : spacing.map(size -> size.x() * size.y()).orElseThrow();
  }

  /**
   * An outline as a GeoJSON geometry: a Polygon or a MultiPolygon. Outer rings run counterclockwise
   * by their coordinates and holes clockwise, as RFC 7946 has it; the first point is repeated.
   */
  String geoJson(Outline outline) {
    boolean one = outline.pieces().size() == 1;
    StringBuilder json = new StringBuilder("{\"type\":\"");
    json.append(one ? "Polygon" : "MultiPolygon").append("\",\"coordinates\":");
    if (one) {
      polygon(json, outline.pieces().get(0));
    } else {
      char before = '[';
      for (List<int[]> piece : outline.pieces()) {
        json.append(before);
        polygon(json, piece);
        before = ',';
      }
      json.append(']');
    }
    return json.append('}').toString();
  }

  private void polygon(StringBuilder json, List<int[]> rings) {
    char before = '[';
    for (int[] ring : rings) {
      json.append(before);
      int points = ring.length / 2;
      for (int i = 0; i <= points; i++) {
        int at = mirrored ? (points - i) % points : i % points;
        json.append(i == 0 ? '[' : ',');
        position(json, ring[2 * at], ring[2 * at + 1]);
      }
      json.append(']');
      before = ',';
    }
    json.append(']');
  }

  private void position(StringBuilder json, int x, int y) {
    if (earth.isEmpty()) {
      json.append('[').append(x).append(',').append(y).append(']');
      return;
    }
    double[] place = earth.get().toModel(x, y).orElseThrow();
    if (projection.isPresent()) {
      MapProjection.Degrees degrees = projection.get().toDegrees(place[0], place[1]);
      place = new double[] {degrees.longitude(), degrees.latitude()};
    }
    json.append('[').append(number(place[0])).append(',').append(number(place[1])).append(']');
  }

  private String number(double value) {
    BigDecimal rounded = BigDecimal.valueOf(value).setScale(decimals, RoundingMode.HALF_EVEN);
    return rounded.signum() == 0 ? "0" : rounded.stripTrailingZeros().toPlainString();
  }
}
