/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.Rgb;
import io.github.flinkdiffusion.ops.pipeline.BoxStyle;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class BoxReaderTest {
  private static final int WIDTH = 192;
  private static final int HEIGHT = 160;
  private static final Rgb BLUE = new Rgb(0, 0, 255);
  private static final Rgb RED = new Rgb(255, 0, 0);
  private static final BoxStyle DOGS = new BoxStyle(List.of(BLUE), List.of("dog"));

  /** What happens to a picture on its way through an autoencoder or a file. */
  private enum Damage {
    NONE,
    BLUR,
    NOISE,
    JPEG,
    BLUR_NOISE_AND_JPEG;

    Raster to(Raster picture) {
      return switch (this) {
        case NONE -> picture;
        case BLUR -> blurred(picture);
        case NOISE -> noisy(picture);
        case JPEG -> jpeg(picture);
        case BLUR_NOISE_AND_JPEG -> jpeg(noisy(blurred(picture)));
      };
    }
  }

  @ParameterizedTest
  @EnumSource
  void oneBoxIsReadWhateverHappenedToThePicture(Damage damage) {
    Box drawn = new Box(30, 40, 81, 57);
    found(damage.to(draw(scene(1), BLUE, 4, drawn)), DOGS, drawn);
  }

  @ParameterizedTest
  @EnumSource
  void boxesThatCrossAndLieInEachOtherAreReadWhateverHappened(Damage damage) {
    Box large = new Box(10, 12, 120, 100);
    Box crossing = new Box(80, 60, 100, 90);
    Box inside = new Box(25, 30, 40, 36);
    Raster picture = draw(draw(scene(2), BLUE, 5, large), BLUE, 5, crossing);
    found(damage.to(draw(picture, BLUE, 5, inside)), DOGS, large, crossing, inside);
  }

  @Property(tries = 60)
  void aBoxAnywhereIsRead(
      @ForAll @IntRange(min = 0, max = 100) int x,
      @ForAll @IntRange(min = 0, max = 80) int y,
      @ForAll @IntRange(min = 26, max = 90) int width,
      @ForAll @IntRange(min = 26, max = 78) int height,
      @ForAll @IntRange(min = 2, max = 6) int thickness) {
    Box drawn = new Box(x, y, width, height);
    Raster picture = draw(scene(x * 31L + y), BLUE, thickness, drawn);
    found(picture, DOGS, drawn);
    if (thickness > 2) { // JPEG halves colors, so of thinner lines one in 2,000 is lost
      found(jpeg(picture), DOGS, drawn);
    }
  }

  @Property(tries = 30)
  void boxesApartAreAllRead(@ForAll @IntRange(min = 1, max = 9) int count, @ForAll long seed) {
    Random random = new Random(seed);
    Raster picture = scene(seed);
    Box[] boxes = new Box[count];
    for (int i = 0; i < count; i++) {
      boxes[i] =
          new Box(
              i % 3 * 64 + 3 + random.nextInt(10),
              i / 3 * 53 + 3 + random.nextInt(8),
              20 + random.nextInt(26),
              20 + random.nextInt(18));
      picture = draw(picture, BLUE, 3, boxes[i]);
    }
    found(blurred(picture), DOGS, boxes);
  }

  @Test
  void eachColorHasItsLabel() {
    BoxStyle style = new BoxStyle(List.of(BLUE, RED), List.of("dog", "cat"));
    Raster picture = draw(scene(3), BLUE, 4, new Box(10, 10, 60, 50));
    Regions found =
        new BoxReader(style)
            .read(draw(picture, RED, 4, new Box(50, 40, 90, 70)), Optional.empty(), 10);
    assertThat(found.items()).extracting(Region::label).containsExactly("cat", "dog");
    assertThat(found.crs()).isEmpty();
    Region cat = found.items().get(0);
    assertThat(cat.areaPixels()).isEqualTo(90 * 70);
    assertThat(cat.geometry()).isNull();
    assertThat(cat.score()).isBetween(0.9, 1.0);
  }

  @Test
  void aLineWithGapsIsABoxAndItsScoreSaysSo() {
    Raster picture = draw(scene(4), BLUE, 4, new Box(20, 20, 100, 80));
    for (int x = 50; x < 70; x++) {
      for (int y = 18; y < 26; y++) {
        set(picture, x, y, 0.5f, 0.5f, 0.5f);
      }
    }
    Regions found = new BoxReader(DOGS).read(picture, Optional.empty(), 10);
    assertThat(found.items()).hasSize(1);
    assertThat(found.items().get(0).score()).isBetween(0.9, 0.97);
  }

  @Test
  void halfABoxIsNone() {
    Raster picture = draw(scene(5), BLUE, 4, new Box(20, 20, 100, 80));
    for (int y = 60; y < 110; y++) {
      for (int x = 10; x < 130; x++) {
        set(picture, x, y, 0.5f, 0.5f, 0.5f);
      }
    }
    found(picture, DOGS);
  }

  @Test
  void somethingBlueIsNoBox() {
    Raster picture = scene(6);
    for (int y = 30; y < 90; y++) {
      for (int x = 40; x < 120; x++) {
        set(picture, x, y, 0.1f, 0.15f, 0.9f);
      }
    }
    found(picture, DOGS);
    found(scene(7), DOGS);
  }

  @Test
  void aBlueFrameThatWasThereBeforeIsNoBox() {
    Raster before = draw(scene(8), BLUE, 4, new Box(20, 20, 60, 50));
    Raster after = draw(copy(before), BLUE, 4, new Box(90, 60, 70, 60));
    assertThat(new BoxReader(DOGS).read(after, Optional.of(before), 10).items())
        .extracting(Region::box)
        .containsExactly(new Box(90, 60, 70, 60));
    assertThat(new BoxReader(DOGS).read(after, Optional.empty(), 10).items()).hasSize(2);
  }

  @Test
  void aDetectionsResultHasTheBoxesThatItsImageHadNot() {
    Raster before = draw(scene(8), BLUE, 4, new Box(20, 20, 60, 50));
    Raster after = draw(copy(before), BLUE, 4, new Box(90, 60, 70, 60));
    Composition.Order order =
        new Composition.Order(
            TaskPlan.whole(WIDTH, HEIGHT, 1, 1, 1),
            Scene.of(before, "image/png"),
            ModelBands.fit(Bands.RGB, 3, 3, List.of()),
            ResultMeaning.boxes(DOGS),
            after,
            ResultFormat.AUTO,
            Map.of(),
            Path.of("."));
    Composition composed = Composition.compose(order, tile -> after);
    Regions found = composed.regions().orElseThrow();
    assertThat(found.items()).extracting(Region::box).containsExactly(new Box(90, 60, 70, 60));
    assertThat(found.items()).extracting(Region::label).containsExactly("dog");
    assertThat(composed.mask()).isEmpty();
  }

  @Test
  void theLargestAreKept() {
    Raster picture = draw(scene(9), BLUE, 3, new Box(5, 5, 30, 30));
    draw(picture, BLUE, 3, new Box(60, 60, 50, 50));
    assertThat(new BoxReader(DOGS).read(picture, Optional.empty(), 1).items())
        .extracting(Region::box)
        .containsExactly(new Box(60, 60, 50, 50));
  }

  @Test
  void whiteLinesAreReadByTheirBrightness() {
    BoxStyle white = new BoxStyle(List.of(new Rgb(255, 255, 255)), List.of("thing"));
    Raster dark = new Raster(3, HEIGHT, WIDTH, new float[3 * HEIGHT * WIDTH]);
    Box drawn = new Box(20, 30, 70, 60);
    found(draw(dark, new Rgb(255, 255, 255), 4, drawn), white, drawn);
  }

  @Test
  void aPictureFullOfLinesTakesNoTime() {
    Raster picture = scene(10);
    for (int i = 0; i < 22; i++) {
      draw(picture, BLUE, 1, new Box(i * 3, i * 3, WIDTH - 6 * i, HEIGHT - 6 * i));
    }
    for (int x = 0; x < WIDTH; x += 4) {
      for (int y = 0; y < HEIGHT; y++) {
        set(picture, x, y, 0, 0, 1);
      }
    }
    assertThat(new BoxReader(DOGS).read(picture, Optional.empty(), 5).items())
        .hasSizeLessThanOrEqualTo(5);
  }

  @Test
  void aGrayPictureIsRefused() {
    assertThatThrownBy(
            () -> new BoxReader(DOGS).read(Raster.filled(1, 8, 8, 0), Optional.empty(), 1))
        .hasMessageContaining("three channels");
  }

  // ------------------------------------------------------------- tools

  /** Each drawn box is found once, each edge within two pixels, and nothing else is. */
  private static void found(Raster picture, BoxStyle style, Box... drawn) {
    List<Region> found = new BoxReader(style).read(picture, Optional.empty(), 100).items();
    assertThat(found).hasSize(drawn.length);
    for (Box box : drawn) {
      assertThat(found).anyMatch(region -> farthestEdge(region.box(), box) <= 2);
    }
  }

  private static double farthestEdge(Box a, Box b) {
    double left = Math.abs(a.x() - b.x());
    double top = Math.abs(a.y() - b.y());
    double right = Math.abs(a.x() + a.width() - b.x() - b.width());
    double bottom = Math.abs(a.y() + a.height() - b.y() - b.height());
    return Math.max(Math.max(left, right), Math.max(top, bottom));
  }

  /** Soft blobs of muted colors, as in photographs. */
  private static Raster scene(long seed) {
    Random random = new Random(seed);
    double[] phases = random.doubles(9, 0, 6).toArray();
    float[] values = new float[3 * HEIGHT * WIDTH];
    for (int c = 0; c < 3; c++) {
      for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++) {
          double wave =
              Math.sin(x / 23.0 + phases[3 * c])
                  + Math.sin(y / 17.0 + phases[3 * c + 1])
                  + Math.sin((x + y) / 9.0 + phases[3 * c + 2]);
          values[(c * HEIGHT + y) * WIDTH + x] = (float) (0.55 + 0.08 * wave);
        }
      }
    }
    return new Raster(3, HEIGHT, WIDTH, values);
  }

  /** As Pillow draws a rectangle: the line lies inside of the box. Changes the picture. */
  private static Raster draw(Raster picture, Rgb color, int thickness, Box box) {
    for (int y = (int) box.y(); y < box.y() + box.height(); y++) {
      for (int x = (int) box.x(); x < box.x() + box.width(); x++) {
        boolean line =
            x < box.x() + thickness
                || x >= box.x() + box.width() - thickness
                || y < box.y() + thickness
                || y >= box.y() + box.height() - thickness;
        if (line) {
          set(picture, x, y, color.band(0), color.band(1), color.band(2));
        }
      }
    }
    return picture;
  }

  private static void set(Raster picture, int x, int y, float red, float green, float blue) {
    int plane = picture.height() * picture.width();
    int pixel = y * picture.width() + x;
    picture.data()[pixel] = red;
    picture.data()[plane + pixel] = green;
    picture.data()[2 * plane + pixel] = blue;
  }

  private static Raster copy(Raster picture) {
    return new Raster(3, picture.height(), picture.width(), picture.data().clone());
  }

  /** A mean of 3 x 3 pixels. */
  private static Raster blurred(Raster picture) {
    float[] values = new float[picture.data().length];
    for (int c = 0; c < 3; c++) {
      for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++) {
          float sum = 0;
          int count = 0;
          for (int v = Math.max(0, y - 1); v <= Math.min(HEIGHT - 1, y + 1); v++) {
            for (int u = Math.max(0, x - 1); u <= Math.min(WIDTH - 1, x + 1); u++) {
              sum += picture.at(c, v, u);
              count++;
            }
          }
          values[(c * HEIGHT + y) * WIDTH + x] = sum / count;
        }
      }
    }
    return new Raster(3, HEIGHT, WIDTH, values);
  }

  private static Raster noisy(Raster picture) {
    Random random = new Random(7);
    float[] values = picture.data().clone();
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) Math.max(0, Math.min(1, values[i] + 0.08 * random.nextGaussian()));
    }
    return new Raster(3, HEIGHT, WIDTH, values);
  }

  private static Raster jpeg(Raster picture) {
    return Images.read(Images.write(picture, "image/jpeg"), ReadOptions.DEFAULT);
  }
}
