/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.Georeference;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.MapProjection;
import io.github.flinkdiffusion.ops.image.Resolution;
import io.github.flinkdiffusion.ops.image.ValueRange;
import io.github.flinkdiffusion.ops.image.Window;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * Which part of an image file a request works on, by parameters of the request. Only what is
 * selected is read of a file whose parts can be read.
 *
 * <ul>
 *   <li>{@code window}: {@code x,y,width,height} in pixels of the image
 *   <li>{@code bounds}: {@code west,south,east,north} in degrees of WGS 84, of an image with a
 *       place on Earth in one of {@link MapProjection#KNOWN}
 *   <li>{@code mapBounds}: the same in the file's own coordinate system, whichever it is
 *   <li>{@code level}: 0 for the image itself, 1 for its largest overview and so on
 *   <li>{@code pixelSize}: in units of the file's coordinate system; the coarsest level is read
 *       whose pixels are not larger
 *   <li>{@code bands}: {@link BandMath expressions}, one for each band, such as {@code B4,B3,B2} or
 *       {@code (B8-B4)/(B8+B4)}
 *   <li>{@code valueRange}: {@code low..high}, the numbers that are black and white for the model
 * </ul>
 *
 * <p>Areas are extended to whole pixels of what is read. Those on Earth may reach out of the image,
 * and what lies inside is read; a window may not.
 *
 * @param bounds west, south, east, north; empty without
 */
@Internal
public record Selection(
    Optional<Window> window,
    List<Double> bounds,
    List<Double> mapBounds,
    Resolution resolution,
    Optional<String> bands,
    Optional<ValueRange> range) {
  private static final String WINDOW = "window";
  private static final String BOUNDS = "bounds";
  private static final String MAP_BOUNDS = "mapBounds";
  private static final String LEVEL = "level";
  private static final String PIXEL_SIZE = "pixelSize";
  private static final String BANDS = "bands";
  private static final String VALUE_RANGE = "valueRange";

  /** The parameters that it is made of. */
  public static final List<String> PARAMETERS =
      List.of(WINDOW, BOUNDS, MAP_BOUNDS, LEVEL, PIXEL_SIZE, BANDS, VALUE_RANGE);

  /** All of the image itself. */
  public static final Selection ALL =
      new Selection(
          Optional.empty(),
          List.of(),
          List.of(),
          Resolution.FULL,
          Optional.empty(),
          Optional.empty());

  /** Points of a side whose places are looked up: sides are no straight lines on other maps. */
  private static final int POINTS = 32;

  /** Part of a pixel that a bound may lie beyond its edge, since numbers are rounded. */
  private static final double ROUNDING = 1e-6;

  public Selection {
    bounds = List.copyOf(bounds);
    mapBounds = List.copyOf(mapBounds);
  }

  /**
   * @param parameters of a request; others are left alone
   * @throws ImageException if one of them is not what it must be, or two exclude each other
   */
  public static Selection of(Map<String, String> parameters) {
    Optional<Window> window = Optional.empty();
    if (parameters.containsKey(WINDOW)) {
      List<Double> numbers = numbers(parameters, WINDOW, "x,y,width,height in whole pixels");
      if (numbers.stream().anyMatch(n -> n != Math.rint(n) || Math.abs(n) > Integer.MAX_VALUE)) {
        throw refused(WINDOW, parameters.get(WINDOW), "x,y,width,height in whole pixels");
      }
      window =
          Optional.of(
              new Window(
                  numbers.get(0).intValue(),
                  numbers.get(1).intValue(),
                  numbers.get(2).intValue(),
                  numbers.get(3).intValue()));
    }
    List<Double> bounds = box(parameters, BOUNDS, "west,south,east,north in degrees");
    List<Double> mapBounds = box(parameters, MAP_BOUNDS, "west,south,east,north of the map");
    if ((window.isPresent() ? 1 : 0) + bounds.size() / 4 + mapBounds.size() / 4 > 1) {
      throw new ImageException(
          "The request has more than one of window, bounds and mapBounds; one is accepted");
    }
    if (parameters.containsKey(LEVEL) && parameters.containsKey(PIXEL_SIZE)) {
      throw new ImageException("The request has level and pixelSize; one of them is accepted");
    }
    Optional<String> bands = Optional.ofNullable(parameters.get(BANDS));
    bands.ifPresent(BandMath::parseAll);
    return new Selection(
        window, bounds, mapBounds, resolution(parameters), bands, range(parameters));
  }

  private static Resolution resolution(Map<String, String> parameters) {
    String level = parameters.get(LEVEL);
    String size = parameters.get(PIXEL_SIZE);
    try {
      return level != null
          ? Resolution.level(Integer.parseInt(level.strip()))
          : size != null ? Resolution.ofPixels(Double.parseDouble(size.strip())) : Resolution.FULL;
    } catch (NumberFormatException e) {
      throw level != null
          ? refused(LEVEL, level, "a whole number from 0")
          : refused(PIXEL_SIZE, size, "a number above 0");
    }
  }

  private static Optional<ValueRange> range(Map<String, String> parameters) {
    String text = parameters.get(VALUE_RANGE);
    if (text == null) {
      return Optional.empty();
    }
    String[] ends = text.split("\\.\\.", -1);
    try {
      if (ends.length == 2) {
        return Optional.of(
            new ValueRange(Double.parseDouble(ends[0]), Double.parseDouble(ends[1])));
      }
    } catch (NumberFormatException | ImageException e) {
      // Said below.
    }
    throw refused(VALUE_RANGE, text, "two different numbers such as 0..10000");
  }

  private static List<Double> box(Map<String, String> parameters, String name, String what) {
    if (!parameters.containsKey(name)) {
      return List.of();
    }
    List<Double> box = numbers(parameters, name, what);
    if (box.get(0) >= box.get(2) || box.get(1) >= box.get(3)) {
      throw refused(
          name, parameters.get(name), what + ", where west is less than east and south than north");
    }
    return box;
  }

  private static List<Double> numbers(Map<String, String> parameters, String name, String what) {
    String[] parts = parameters.get(name).split(",", -1);
    try {
      if (parts.length == 4) {
        List<Double> numbers = new ArrayList<>();
        for (String part : parts) {
          numbers.add(Double.parseDouble(part.strip()));
        }
        if (numbers.stream().allMatch(Double::isFinite)) {
          return numbers;
        }
      }
    } catch (NumberFormatException e) {
      // Said below.
    }
    throw refused(name, parameters.get(name), what);
  }

  private static ImageException refused(String name, String value, String accepted) {
    return new ImageException("%s is '%.100s'; %s is expected".formatted(name, value, accepted));
  }

  public boolean isAll() {
    return equals(ALL);
  }

  /**
   * The selected part of what has been opened at this selection's resolution.
   *
   * @param fullWidth of the image itself, in whose pixels the window is
   * @throws ImageException if it is not there
   */
  Scene of(Scene scene, int fullWidth, int fullHeight) {
    Scene part =
        area(scene, fullWidth, fullHeight).map(window -> part(scene, window)).orElse(scene);
    Scene shown = bands.map(text -> BandScene.of(part, BandMath.parseAll(text))).orElse(part);
    return range.map(shown::over).orElse(shown);
  }

  private static Scene part(Scene scene, Window window) {
    return new PartScene(scene, window);
  }

  private Optional<Window> area(Scene scene, int fullWidth, int fullHeight) {
    if (window.isPresent()) {
      Window asked = window.get();
      if ((long) asked.x() + asked.width() > fullWidth
          || (long) asked.y() + asked.height() > fullHeight) {
        throw new ImageException(
            "The window %d,%d,%d,%d reaches out of the image of %d x %d pixels"
                .formatted(
                    asked.x(), asked.y(), asked.width(), asked.height(), fullWidth, fullHeight));
      }
      double byX = (double) scene.width() / fullWidth;
      double byY = (double) scene.height() / fullHeight;
      return Optional.of(
          whole(
              scene,
              asked.x() * byX,
              asked.y() * byY,
              ((double) asked.x() + asked.width()) * byX,
              ((double) asked.y() + asked.height()) * byY));
    }
    if (bounds.isEmpty() && mapBounds.isEmpty()) {
      return Optional.empty();
    }
    Georeference earth =
        scene
            .metadata()
            .georeference()
            .filter(known -> known.toImage(0, 0).isPresent())
            .orElseThrow(
                () ->
                    new ImageException(
                        "The image does not say where on Earth it lies; select a window of pixels instead"));
    return Optional.of(onEarth(scene, earth));
  }

  private Window onEarth(Scene scene, Georeference earth) {
    List<Double> box = mapBounds;
    Optional<MapProjection> projection = Optional.empty();
    if (!bounds.isEmpty()) {
      box = bounds;
      projection =
          earth.epsg().isPresent() ? MapProjection.of(earth.epsg().getAsInt()) : Optional.empty();
      if (projection.isEmpty()) {
        throw new ImageException(
            "The image's coordinate system is %s; bounds in degrees are accepted for %s. Select mapBounds in its own coordinates or a window of pixels instead"
                .formatted(earth.crs().orElse("none with an EPSG code"), MapProjection.KNOWN));
      }
    }
    double left = Double.POSITIVE_INFINITY;
    double top = Double.POSITIVE_INFINITY;
    double right = Double.NEGATIVE_INFINITY;
    double bottom = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < 4 * POINTS; i++) {
      double along = (double) (i % POINTS) / POINTS;
      double x =
          switch (i / POINTS) {
            case 0 -> box.get(0) + along * (box.get(2) - box.get(0));
            case 1 -> box.get(2);
            case 2 -> box.get(2) - along * (box.get(2) - box.get(0));
            default -> box.get(0);
          };
      double y =
          switch (i / POINTS) {
            case 0 -> box.get(1);
            case 1 -> box.get(1) + along * (box.get(3) - box.get(1));
            case 2 -> box.get(3);
            default -> box.get(3) - along * (box.get(3) - box.get(1));
          };
      double[] map = {x, y};
      if (projection.isPresent()) {
        map = projection.get().fromDegrees(x, y);
      }
      double[] pixel = earth.toImage(map[0], map[1]).orElseThrow();
      if (!Double.isFinite(pixel[0]) || !Double.isFinite(pixel[1])) {
        throw new ImageException(
            "The bounds %s reach beyond the map %s".formatted(box, earth.crs().orElse("")));
      }
      left = Math.min(left, pixel[0]);
      right = Math.max(right, pixel[0]);
      top = Math.min(top, pixel[1]);
      bottom = Math.max(bottom, pixel[1]);
    }
    if (left >= scene.width() || top >= scene.height() || right <= 0 || bottom <= 0) {
      throw new ImageException(
          "The bounds %s lie outside of the image, which reaches from %s to %s"
              .formatted(
                  box,
                  place(earth, projection, 0, scene.height()),
                  place(earth, projection, scene.width(), 0)));
    }
    return whole(scene, left, top, right, bottom);
  }

  private static String place(
      Georeference earth, Optional<MapProjection> projection, double x, double y) {
    double[] map = earth.toModel(x, y).orElseThrow();
    if (projection.isPresent()) {
      MapProjection.Degrees degrees = projection.get().toDegrees(map[0], map[1]);
      map = new double[] {degrees.longitude(), degrees.latitude()};
    }
    return "%.6f,%.6f".formatted(map[0], map[1]);
  }

  /** Extended to whole pixels, as far as there are some. */
  private static Window whole(Scene scene, double left, double top, double right, double bottom) {
    int x = clip(Math.floor(left + ROUNDING), scene.width() - 1);
    int y = clip(Math.floor(top + ROUNDING), scene.height() - 1);
    int endX = clip(Math.ceil(right - ROUNDING), scene.width());
    int endY = clip(Math.ceil(bottom - ROUNDING), scene.height());
    return new Window(x, y, Math.max(1, endX - x), Math.max(1, endY - y));
  }

  private static int clip(double position, int most) {
    return (int) Math.max(0, Math.min(position, most));
  }
}
