/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.image.Georeference;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.PixelSpacing;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.Rgb;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.locationtech.jts.algorithm.Orientation;
import org.locationtech.jts.algorithm.locate.IndexedPointInAreaLocator;
import org.locationtech.jts.geom.Coordinate;
import org.locationtech.jts.geom.Envelope;
import org.locationtech.jts.geom.Geometry;
import org.locationtech.jts.geom.GeometryFactory;
import org.locationtech.jts.geom.LinearRing;
import org.locationtech.jts.geom.Location;
import org.locationtech.jts.geom.Polygon;
import org.locationtech.jts.operation.valid.IsValidOp;

class RegionFinderTest {
  private static final GeometryFactory GEOMETRIES = new GeometryFactory();
  private static final ClassMap THREE =
      new ClassMap(
          ClassMap.Encoding.ONE_HOT,
          List.of("nothing", "lake", "road"),
          List.of(new Rgb(0, 0, 0), new Rgb(0, 0, 255), new Rgb(255, 0, 0)),
          OptionalInt.of(0));
  private static final RegionFinder.Limits ALL =
      new RegionFinder.Limits(Integer.MAX_VALUE, 1, Integer.MAX_VALUE);

  // ------------------------------------------------------------- any picture of classes

  @Property(tries = 300)
  void outlinesAreValidAndGiveTheClassesBack(
      @ForAll @IntRange(min = 1, max = 24) int width,
      @ForAll @IntRange(min = 1, max = 24) int height,
      @ForAll @IntRange(min = 0, max = 100) int percent,
      @ForAll @IntRange(min = 0, max = 3) int coarseness,
      @ForAll long seed) {
    ClassRaster classes = random(width, height, percent, coarseness, seed);
    Regions regions = find(classes, ALL, ImageMetadata.NONE);
    byte[] drawn = new byte[width * height];
    long pixels = 0;
    for (Region region : regions.items()) {
      Geometry geometry = geometry(region);
      assertThat(new IsValidOp(geometry).isValid()).isTrue();
      assertThat(geometry.getArea()).isEqualTo(region.areaPixels());
      assertThat(envelope(region.box())).isEqualTo(geometry.getEnvelopeInternal());
      orientedAsRfc7946Wants(geometry);
      onlyCorners(geometry);
      draw(geometry, (byte) THREE.labels().indexOf(region.label()), width, drawn);
      pixels += region.areaPixels();
    }
    assertThat(drawn).isEqualTo(classes.numbers());
    assertThat(pixels).isEqualTo(foreground(classes));
    assertThat(regions.items())
        .isSortedAccordingTo((a, b) -> Long.compare(b.areaPixels(), a.areaPixels()));
  }

  @Property(tries = 100)
  void regionsOfOneClassTouchNowhere(
      @ForAll @IntRange(min = 10, max = 90) int percent, @ForAll long seed) {
    ClassRaster classes = random(16, 12, percent, 0, seed);
    List<Region> items = find(classes, ALL, ImageMetadata.NONE).items();
    for (int i = 0; i < items.size(); i++) {
      for (int j = 0; j < i; j++) {
        if (items.get(i).label().equals(items.get(j).label())) {
          assertThat(geometry(items.get(i)).disjoint(geometry(items.get(j)))).isTrue();
        }
      }
    }
  }

  private static ClassRaster random(int width, int height, int percent, int coarseness, long seed) {
    Random random = new Random(seed);
    byte[] numbers = new byte[width * height];
    byte[] blocks = new byte[1024];
    for (int i = 0; i < blocks.length; i++) {
      blocks[i] = (byte) (random.nextInt(100) < percent ? 1 + random.nextInt(5) / 4 : 0);
    }
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        numbers[y * width + x] = blocks[(y >> coarseness) * 32 + (x >> coarseness)];
      }
    }
    return new ClassRaster(width, height, numbers);
  }

  private static long foreground(ClassRaster classes) {
    long count = 0;
    for (byte number : classes.numbers()) {
      count += number != 0 ? 1 : 0;
    }
    return count;
  }

  private static Envelope envelope(Box box) {
    return new Envelope(box.x(), box.x() + box.width(), box.y(), box.y() + box.height());
  }

  private static void orientedAsRfc7946Wants(Geometry geometry) {
    for (int i = 0; i < geometry.getNumGeometries(); i++) {
      Polygon polygon = (Polygon) geometry.getGeometryN(i);
      assertThat(Orientation.isCCW(polygon.getExteriorRing().getCoordinates())).isTrue();
      for (int hole = 0; hole < polygon.getNumInteriorRing(); hole++) {
        assertThat(Orientation.isCCW(polygon.getInteriorRingN(hole).getCoordinates())).isFalse();
      }
    }
  }

  private static void onlyCorners(Geometry geometry) {
    for (int i = 0; i < geometry.getNumGeometries(); i++) {
      Coordinate[] ring = ((Polygon) geometry.getGeometryN(i)).getExteriorRing().getCoordinates();
      for (int k = 1; k + 1 < ring.length; k++) {
        boolean across = ring[k - 1].y == ring[k].y;
        assertThat(ring[k].y == ring[k + 1].y).isNotEqualTo(across);
      }
    }
  }

  private static void draw(Geometry geometry, byte number, int width, byte[] drawn) {
    IndexedPointInAreaLocator inside = new IndexedPointInAreaLocator(geometry);
    for (int i = 0; i < drawn.length; i++) {
      if (inside.locate(new Coordinate(i % width + 0.5, i / width + 0.5)) == Location.INTERIOR) {
        assertThat(drawn[i]).isZero();
        drawn[i] = number;
      }
    }
  }

  // ------------------------------------------------------------- outlines

  @Test
  void pixelsThatTouchAtACornerAreOneRegionOfTwoPolygons() {
    Regions found = find(classes("1.", ".1"), ALL, ImageMetadata.NONE);
    assertThat(found.crs()).isEmpty();
    assertThat(found.items()).hasSize(1);
    assertThat(found.items().get(0).geometry())
        .isEqualTo(
            "{\"type\":\"MultiPolygon\",\"coordinates\":["
                + "[[[1,0],[1,1],[0,1],[0,0],[1,0]]],"
                + "[[[2,1],[2,2],[1,2],[1,1],[2,1]]]]}");
  }

  @Test
  void holesThatTouchAtACornerAreTwoRings() {
    Polygon polygon = (Polygon) geometry(only("1111", "1.11", "11.1", "1111"));
    assertThat(polygon.getNumInteriorRing()).isEqualTo(2);
    assertThat(polygon.getArea()).isEqualTo(14);
  }

  @Test
  void aRegionThatMeetsItselfAtACornerHasAHoleThatTouchesItsOutside() {
    Polygon polygon = (Polygon) geometry(only("11.", "1.1", "111"));
    assertThat(polygon.getNumInteriorRing()).isEqualTo(1);
    assertThat(polygon.isValid()).isTrue();
  }

  @Test
  void aRegionInAHoleOfAnotherOneIsARegion() {
    Regions found = find(classes("11111", "1...1", "1.1.1", "1...1", "11111"), ALL, none());
    assertThat(found.items()).extracting(Region::areaPixels).containsExactly(16L, 1L);
  }

  @Test
  void aClassWithoutBackgroundIsARegionToo() {
    ClassMap everything =
        new ClassMap(THREE.encoding(), THREE.labels(), THREE.palette(), OptionalInt.empty());
    Regions found =
        new RegionFinder(everything, ALL).find(classes("11", "..", ".2"), Optional.empty(), none());
    assertThat(found.items()).extracting(Region::label).containsExactly("nothing", "lake", "road");
  }

  // ------------------------------------------------------------- limits

  @Test
  void theLargestAreKept() {
    RegionFinder.Limits two = new RegionFinder.Limits(2, 1, 1000);
    Regions found = find(classes("1.11", "....", "2.22", "...2"), two, none());
    assertThat(found.items())
        .extracting(Region::label, Region::areaPixels)
        .containsExactly(tuple("road", 3L), tuple("lake", 2L));
  }

  @Test
  void ofEqualOnesTheFirstIsKept() {
    RegionFinder.Limits one = new RegionFinder.Limits(1, 1, 1000);
    assertThat(find(classes("2.1.2"), one, none()).items().get(0).box())
        .isEqualTo(new Box(0, 0, 1, 1));
  }

  @Test
  void smallOnesAreLeftOut() {
    RegionFinder.Limits large = new RegionFinder.Limits(10, 2, 1000);
    assertThat(find(classes("1.11"), large, none()).items()).hasSize(1);
    assertThat(find(classes("1..1"), large, none()).items()).isEmpty();
  }

  @Test
  void outlinesThatNeedTooManyPointsAreLeftOut() {
    RegionFinder.Limits few = new RegionFinder.Limits(10, 1, 9);
    List<Region> found = find(classes("1111", ".11.", "....", "2..2"), few, none()).items();
    assertThat(found).extracting(Region::areaPixels).containsExactly(6L, 1L, 1L);
    assertThat(found.get(0).geometry()).isNotNull();
    assertThat(found.get(0).box()).isEqualTo(new Box(0, 0, 4, 2));
    assertThat(found.get(1).geometry()).isNull();
  }

  @Test
  void aLargeSpiralIsFoundWithoutRecursion() {
    int side = 2001;
    byte[] numbers = new byte[side * side];
    for (int y = 0; y < side; y++) {
      for (int x = 0; x < side; x++) {
        int ring = Math.min(Math.min(x, y), Math.min(side - 1 - x, side - 1 - y));
        boolean joint = x == ring && y == ring + 1 || x == ring - 1 && y == ring;
        numbers[y * side + x] = (byte) (ring % 2 == 0 || joint ? 1 : 0);
      }
    }
    Regions found = find(new ClassRaster(side, side, numbers), ALL, none());
    assertThat(found.items()).hasSize(1);
    assertThat(geometry(found.items().get(0)).getArea())
        .isEqualTo(found.items().get(0).areaPixels());
  }

  @Test
  void aNoisyPictureStaysWithinItsLimits() {
    ClassRaster noise = random(24, 24, 50, 0, 1);
    byte[] tiled = new byte[960 * 960];
    for (int i = 0; i < tiled.length; i++) {
      tiled[i] = noise.numbers()[i / 960 % 24 * 24 + i % 960 % 24];
    }
    Regions found = find(new ClassRaster(960, 960, tiled), RegionFinder.Limits.DEFAULT, none());
    assertThat(found.items()).hasSizeLessThanOrEqualTo(1000).isNotEmpty();
    int points =
        found.items().stream()
            .filter(region -> region.geometry() != null)
            .mapToInt(region -> geometry(region).getNumPoints())
            .sum();
    // Each ring repeats its first point.
    assertThat(points).isLessThanOrEqualTo(20_000 * 5 / 4);
  }

  @Test
  void aNumberThatIsNoClassIsRefused() {
    assertThatThrownBy(() -> find(classes("3"), ALL, none())).hasMessageContaining("class 3 of 3");
  }

  // ------------------------------------------------------------- scores, places, areas

  @Test
  void theScoreIsTheMeanOverTheRegion() {
    Raster score = new Raster(1, 1, 4, new float[] {0.5f, 0.75f, 1, 0.25f});
    Regions found =
        new RegionFinder(THREE, ALL)
            .find(classes("11.2"), Optional.of(pixel -> score.data()[pixel]), none());
    assertThat(found.items().get(0).score()).isEqualTo(0.625);
    assertThat(found.items().get(1).score()).isEqualTo(0.25);
  }

  @Test
  void withoutScoresThereIsNone() {
    assertThat(only("1").score()).isNull();
  }

  @Test
  void aGeoReferencedOutlineIsInDegreesAndItsAreaIsOfTheMap() {
    ImageMetadata utm =
        none().withGeoreference(Georeference.northUp(32633, 500_000, 5_800_000.5, 10));
    Regions found = find(classes("...", ".11", ".1."), ALL, utm);
    assertThat(found.crs()).contains("EPSG:4326");
    Region lake = found.items().get(0);
    assertThat(lake.area()).isEqualTo(300);
    // As rasterio.warp.transform has it.
    assertThat(lake.geometry())
        .contains("[15.000146814,52.35020794]", "[15.000293626,52.350028131]");
    orientedAsRfc7946Wants(geometry(lake));
  }

  @Test
  void anOutlineInASystemThatIsNotConvertedStaysInIt() {
    ImageMetadata british =
        none().withGeoreference(Georeference.northUp(27700, 500_000, 5_800_000.5, 10));
    Regions found = find(classes("...", ".11", ".1."), ALL, british);
    assertThat(found.crs()).contains("EPSG:27700");
    Region lake = found.items().get(0);
    assertThat(lake.area()).isEqualTo(300);
    assertThat(lake.areaUnit()).isEqualTo("m2");
    assertThat(lake.box()).isEqualTo(new Box(1, 1, 2, 2));
    assertThat(lake.geometry())
        .contains("[500010,5799990.5]", "[500030,5799990.5]", "[500010,5799970.5]");
    assertThat(geometry(lake).getArea()).isCloseTo(300, within(1e-6));
    orientedAsRfc7946Wants(geometry(lake));
  }

  @Test
  void degreesGiveTheAreaOnTheEllipsoid() {
    // Kilometres of a degree of latitude and of longitude: 110.574 and 111.312, 111.420 and 54.94.
    ImageMetadata degrees = none().withGeoreference(Georeference.northUp(4326, 10, 1, 1));
    Region cell = find(classes("1"), ALL, degrees).items().get(0);
    assertThat(cell.area()).isCloseTo(12_308_200_000.0, within(1e6));
    ImageMetadata north = none().withGeoreference(Georeference.northUp(4326, 10, 61, 1));
    assertThat(find(classes("1"), ALL, north).items().get(0).area())
        .isCloseTo(6_122_000_000.0, within(1e7));
  }

  @Test
  void theWholeEarthHasTheAreaOfTheEllipsoid() {
    ImageMetadata world = none().withGeoreference(Georeference.northUp(4326, -180, 90, 1));
    byte[] all = new byte[360 * 180];
    Arrays.fill(all, (byte) 1);
    Region earth = find(new ClassRaster(360, 180, all), ALL, world).items().get(0);
    assertThat(earth.area()).isCloseTo(510_065_621_724_000.0, within(1e9));
  }

  @Test
  void webMapsHaveNoArea() {
    ImageMetadata web = none().withGeoreference(Georeference.northUp(3857, 0, 0, 10));
    Region found = find(classes("1"), ALL, web).items().get(0);
    assertThat(found.area()).isNull();
    assertThat(found.areaUnit()).isNull();
    assertThat(found.geometry()).contains("[0.000089832,-0.000089832]");
  }

  @Test
  void aPlaceWithoutANameGivesPixels() {
    Georeference nameless =
        new Georeference(
            List.of(10.0, 10.0, 0.0),
            List.of(0.0, 0.0, 0.0, 5.0, 5.0, 0.0),
            List.of(),
            List.of(),
            List.of(),
            "");
    Regions found = find(classes("1"), ALL, none().withGeoreference(nameless));
    assertThat(found.crs()).isEmpty();
    assertThat(geometry(found.items().get(0)).getArea()).isEqualTo(1);
  }

  @Test
  void spacingGivesSquareMillimetres() {
    ImageMetadata scan = none().withSpacing(new PixelSpacing(0.5, 0.7));
    Region found = find(classes("11", "11"), ALL, scan).items().get(0);
    assertThat(found.area()).isCloseTo(1.4, within(1e-12));
    assertThat(found.areaUnit()).isEqualTo("mm2");
  }

  // ------------------------------------------------------------- tools

  private static ImageMetadata none() {
    return ImageMetadata.NONE;
  }

  private static Region only(String... rows) {
    List<Region> found = find(classes(rows), ALL, none()).items();
    assertThat(found).hasSize(1);
    return found.get(0);
  }

  private static Regions find(
      ClassRaster classes, RegionFinder.Limits limits, ImageMetadata metadata) {
    return new RegionFinder(THREE, limits).find(classes, Optional.empty(), metadata);
  }

  private static ClassRaster classes(String... rows) {
    String all = String.join("", rows).replace('.', '0');
    byte[] numbers = new byte[all.length()];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = (byte) (all.charAt(i) - '0');
    }
    return new ClassRaster(rows[0].length(), rows.length, numbers);
  }

  private static Geometry geometry(Region region) {
    try {
      JsonNode json = new ObjectMapper().readTree(region.geometry());
      List<Polygon> polygons = new ArrayList<>();
      if (json.get("type").asText().equals("Polygon")) {
        return polygon(json.get("coordinates"));
      }
      assertThat(json.get("type").asText()).isEqualTo("MultiPolygon");
      json.get("coordinates").forEach(polygon -> polygons.add(polygon(polygon)));
      return GEOMETRIES.createMultiPolygon(polygons.toArray(Polygon[]::new));
    } catch (JsonProcessingException e) {
      throw new AssertionError(region.geometry(), e);
    }
  }

  private static Polygon polygon(JsonNode rings) {
    LinearRing[] all = new LinearRing[rings.size()];
    for (int i = 0; i < all.length; i++) {
      Coordinate[] points = new Coordinate[rings.get(i).size()];
      for (int k = 0; k < points.length; k++) {
        JsonNode point = rings.get(i).get(k);
        points[k] = new Coordinate(point.get(0).asDouble(), point.get(1).asDouble());
      }
      all[i] = GEOMETRIES.createLinearRing(points);
    }
    return GEOMETRIES.createPolygon(all[0], Arrays.copyOfRange(all, 1, all.length));
  }
}
