/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import org.apache.flink.annotation.Internal;

/**
 * Where on Earth a picture lies: the tags of a GeoTIFF, kept as they are but for what depends on
 * the size of a pixel, which follows when a picture is enlarged or cut out.
 *
 * <p>Positions in a picture are in pixels from the outer corner of the first one, whatever the file
 * counts from: its own numbers are of pixels' corners or of their centers, as its raster type says.
 *
 * @param pixelScale tag 33550, empty or 3 numbers: the size of a pixel, in the model's units
 * @param tiepoints tag 33922, 6 numbers each: column, row and height in the picture, x, y and z in
 *     the model
 * @param transformation tag 34264, empty or 16 numbers: picture to model, by rows
 * @param keyDirectory tag 34735, 16-bit numbers
 * @param doubleParameters tag 34736
 * @param asciiParameters tag 34737
 */
@Internal
public record Georeference(
    List<Double> pixelScale,
    List<Double> tiepoints,
    List<Double> transformation,
    List<Integer> keyDirectory,
    List<Double> doubleParameters,
    String asciiParameters) {

  private static final int MODEL_TYPE = 1024;
  private static final int RASTER_TYPE = 1025;
  private static final int GEOGRAPHIC_SYSTEM = 2048;
  private static final int ANGULAR_UNIT = 2054;
  private static final int PROJECTED_SYSTEM = 3072;
  private static final int LINEAR_UNIT = 3076;
  private static final int GEOGRAPHIC = 2;
  private static final int PIXEL_IS_POINT = 2;
  private static final int DEGREE = 9102;
  private static final int USER_DEFINED = 32767;

  /** Web maps' projection: its metres are metres at the equator alone. */
  private static final int WEB_MERCATOR = 3857;

  /** Metres of the GeoTIFF codes for units of length. */
  private static final Map<Integer, Double> METRES =
      Map.of(9001, 1.0, 9002, 0.3048, 9003, 1200.0 / 3937);

  /** WGS 84. */
  private static final double POLAR_RADIUS = 6356752.314245;

  private static final double ECCENTRICITY = 0.0818191908426;

  public Georeference {
    pixelScale = List.copyOf(pixelScale);
    tiepoints = List.copyOf(tiepoints);
    transformation = List.copyOf(transformation);
    keyDirectory = List.copyOf(keyDirectory);
    doubleParameters = List.copyOf(doubleParameters);
    if (!(pixelScale.isEmpty() || pixelScale.size() == 3)
        || tiepoints.size() % 6 != 0
        || !(transformation.isEmpty() || transformation.size() == 16)) {
      throw new ImageException(
          ("GeoTIFF tags with %d numbers of scale, %d of tie points and %d of transformation; 3,"
                  + " multiples of 6, and 16 are expected")
              .formatted(pixelScale.size(), tiepoints.size(), transformation.size()));
    }
  }

  /**
   * A picture with north up.
   *
   * @param epsg code of the projected or, from 4000 to 4999, geographic coordinate system
   * @param west the model's x of the left edge
   * @param north the model's y of the upper edge
   * @param pixel the side of a pixel, in the model's units
   */
  public static Georeference northUp(int epsg, double west, double north, double pixel) {
    boolean geographic = epsg >= 4000 && epsg < 5000;
    List<Integer> keys =
        List.of(
            1,
            1,
            0,
            3, //
            1024,
            0,
            1,
            geographic ? 2 : 1,
            RASTER_TYPE,
            0,
            1,
            1,
            geographic ? GEOGRAPHIC_SYSTEM : PROJECTED_SYSTEM,
            0,
            1,
            epsg);
    return new Georeference(
        List.of(pixel, pixel, 0.0),
        List.of(0.0, 0.0, 0.0, west, north, 0.0),
        List.of(),
        keys,
        List.of(),
        "");
  }

  /** The coordinate system's EPSG code, if the file names one. */
  public OptionalInt epsg() {
    OptionalInt projected = key(PROJECTED_SYSTEM);
    OptionalInt code = projected.isPresent() ? projected : key(GEOGRAPHIC_SYSTEM);
    return code.isPresent() && code.getAsInt() != USER_DEFINED ? code : OptionalInt.empty();
  }

  /**
   * The model's coordinates of a position.
   *
   * @param x pixels from the left edge
   * @param y pixels from the upper edge
   * @return x and y in the coordinate system; empty if the file only has single known points
   */
  public Optional<double[]> toModel(double x, double y) {
    double column = x - origin();
    double row = y - origin();
    if (!transformation.isEmpty()) {
      return Optional.of(
          new double[] {
            cell(0) * column + cell(1) * row + cell(3), cell(4) * column + cell(5) * row + cell(7)
          });
    }
    if (pixelScale.isEmpty() || tiepoints.isEmpty()) {
      return Optional.empty();
    }
    return Optional.of(
        new double[] {
          tiepoints.get(3) + (column - tiepoints.get(0)) * pixelScale.get(0),
          tiepoints.get(4) - (row - tiepoints.get(1)) * pixelScale.get(1)
        });
  }

  /**
   * The position of a place: the way back of {@link #toModel}.
   *
   * @return pixels from the left edge and from the upper one; empty where {@link #toModel} is, and
   *     where all pixels lie on one line
   */
  public Optional<double[]> toImage(double modelX, double modelY) {
    Optional<double[]> known = pixelSides();
    if (known.isEmpty()) {
      return Optional.empty();
    }
    double[] sides = known.get();
    double area = sides[0] * sides[3] - sides[1] * sides[2];
    if (area == 0 || !Double.isFinite(area)) {
      return Optional.empty();
    }
    double[] corner = toModel(0, 0).orElseThrow();
    double x = modelX - corner[0];
    double y = modelY - corner[1];
    return Optional.of(
        new double[] {(x * sides[3] - y * sides[2]) / area, (y * sides[0] - x * sides[1]) / area});
  }

  /** The coordinate system's name, such as {@code EPSG:32633}, if the file says it by its code. */
  public Optional<String> crs() {
    OptionalInt code = epsg();
    return code.isPresent() ? Optional.of("EPSG:" + code.getAsInt()) : Optional.empty();
  }

  /**
   * How far it is in the model from a pixel's corner to its right one and to its lower one: x and y
   * of the one, x and y of the other. Empty where {@link #toModel} is.
   */
  public Optional<double[]> pixelSides() {
    Optional<double[]> corner = toModel(0, 0);
    if (corner.isEmpty()) {
      return Optional.empty();
    }
    double[] right = toModel(1, 0).orElseThrow();
    double[] below = toModel(0, 1).orElseThrow();
    double[] at = corner.get();
    return Optional.of(
        new double[] {right[0] - at[0], right[1] - at[1], below[0] - at[0], below[1] - at[1]});
  }

  /**
   * The area of a pixel on the ground. In a projected system it is that in the projection's plane,
   * in metres unless the file says feet; in degrees, with north up, it is that on the ellipsoid of
   * WGS 84.
   *
   * @param row which row it is in, from 0
   * @return empty where that is not known, and in {@code EPSG:3857}, whose plane is not the ground
   */
  public OptionalDouble squareMetres(int row) {
    Optional<double[]> known = pixelSides();
    if (known.isEmpty()) {
      return OptionalDouble.empty();
    }
    double[] sides = known.get();
    if (key(MODEL_TYPE).orElse(0) != GEOGRAPHIC) {
      Double metres = METRES.get(key(LINEAR_UNIT).orElse(9001));
      return metres == null || epsg().orElse(0) == WEB_MERCATOR
          ? OptionalDouble.empty()
          : OptionalDouble.of(
              Math.abs(sides[0] * sides[3] - sides[1] * sides[2]) * metres * metres);
    }
    if (key(ANGULAR_UNIT).orElse(DEGREE) != DEGREE || sides[1] != 0 || sides[2] != 0) {
      return OptionalDouble.empty();
    }
    double north = toModel(0, row).orElseThrow()[1];
    double south = toModel(0, row + 1).orElseThrow()[1];
    return OptionalDouble.of(
        Math.abs(Math.toRadians(sides[0]) * (belowLatitude(north) - belowLatitude(south))));
  }

  /** Area between the equator and a latitude on the ellipsoid, for each radian of longitude. */
  private static double belowLatitude(double degrees) {
    double sine = Math.sin(Math.toRadians(degrees));
    double e = ECCENTRICITY;
    return POLAR_RADIUS
        * POLAR_RADIUS
        / 2
        * (sine / (1 - e * e * sine * sine) + Math.log((1 + e * sine) / (1 - e * sine)) / (2 * e));
  }

  /** As after enlarging the picture by these factors. */
  Georeference scaled(double factorX, double factorY) {
    List<Double> scale = new ArrayList<>(pixelScale);
    if (!scale.isEmpty()) {
      scale.set(0, scale.get(0) / factorX);
      scale.set(1, scale.get(1) / factorY);
    }
    return mapped(factorX, 0, factorY, 0, scale);
  }

  /** As after cutting out a part that begins at this pixel. */
  Georeference cropped(int x, int y) {
    return mapped(1, -x, 1, -y, pixelScale);
  }

  /** Positions p from the corner become {@code p * factor + shift}. */
  private Georeference mapped(
      double factorX, double shiftX, double factorY, double shiftY, List<Double> scale) {
    double origin = origin();
    List<Double> ties = new ArrayList<>(tiepoints);
    for (int at = 0; at < ties.size(); at += 6) {
      ties.set(at, (ties.get(at) + origin) * factorX + shiftX - origin);
      ties.set(at + 1, (ties.get(at + 1) + origin) * factorY + shiftY - origin);
    }
    List<Double> matrix = new ArrayList<>(transformation);
    if (!matrix.isEmpty()) {
      // The old column and row are linear in the new ones: c = (c' + origin - shift) / f - origin.
      double constantX = (origin - shiftX) / factorX - origin;
      double constantY = (origin - shiftY) / factorY - origin;
      for (int row = 0; row < 16; row += 4) {
        double byColumn = matrix.get(row);
        double byRow = matrix.get(row + 1);
        matrix.set(row, byColumn / factorX);
        matrix.set(row + 1, byRow / factorY);
        matrix.set(row + 3, matrix.get(row + 3) + byColumn * constantX + byRow * constantY);
      }
    }
    return new Georeference(scale, ties, matrix, keyDirectory, doubleParameters, asciiParameters);
  }

  /** Where the file's numbers begin, in pixels from the corner. */
  private double origin() {
    return key(RASTER_TYPE).orElse(1) == PIXEL_IS_POINT ? 0.5 : 0;
  }

  private double cell(int index) {
    return transformation.get(index);
  }

  /** A key whose value stands in the directory itself. */
  private OptionalInt key(int id) {
    for (int at = 4; at + 3 < keyDirectory.size(); at += 4) {
      if (keyDirectory.get(at) == id && keyDirectory.get(at + 1) == 0) {
        return OptionalInt.of(keyDirectory.get(at + 3));
      }
    }
    return OptionalInt.empty();
  }

  static Optional<Georeference> of(
      List<Double> scale,
      List<Double> tiepoints,
      List<Double> transformation,
      List<Integer> keys,
      List<Double> doubles,
      String ascii) {
    return scale.isEmpty() && tiepoints.isEmpty() && transformation.isEmpty() && keys.isEmpty()
        ? Optional.empty()
        : Optional.of(new Georeference(scale, tiepoints, transformation, keys, doubles, ascii));
  }

  static List<Integer> integers(List<Double> numbers) {
    return numbers.isEmpty()
        ? Collections.emptyList()
        : numbers.stream().map(Double::intValue).toList();
  }
}
