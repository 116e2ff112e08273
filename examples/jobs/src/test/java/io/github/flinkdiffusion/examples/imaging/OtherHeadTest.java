/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is learned from beside the head as it was scanned. */
class OtherHeadTest {
  @TempDir private Path folder;

  private static final int HEIGHT = 40;
  private static final int WIDTH = 30;

  @Test
  void theMaskStaysWithItsBrain() {
    Raster mask = disc();
    Random random = new Random(3);
    for (int i = 0; i < 20; i++) {
      OtherHead drawn = OtherHead.draw(random);
      OtherHead moved =
          new OtherHead(
              drawn.broader(),
              drawn.longer(),
              drawn.bend(),
              drawn.phase(),
              drawn.waves(),
              1,
              0,
              0,
              0,
              0,
              0);
      SliceVariation.Pair pair = moved.apply(mask, mask);
      assertThat(pair.slice().data()).containsExactly(pair.mask().data(), within(1e-6f));
    }
  }

  @Test
  void onlyTheRimIsBrighterAndRowsThatAreCutAreEmpty() {
    Raster slice = Raster.filled(1, HEIGHT, WIDTH, 0.25f);
    OtherHead bright = new OtherHead(1, 1, 0, 0, 1, 2, 0, 0, 0, 0.25, 0);
    SliceVariation.Pair pair = bright.apply(slice, disc());
    assertThat(pair.slice().at(0, HEIGHT / 2, WIDTH / 2)).isEqualTo(0.25f);
    assertThat(pair.slice().at(0, HEIGHT - 2, 1)).isEqualTo(0.5f);
    for (int x = 0; x < WIDTH; x++) {
      assertThat(pair.slice().at(0, HEIGHT / 4 - 1, x)).isZero();
      assertThat(pair.mask().at(0, HEIGHT / 4 - 1, x)).isZero();
    }
  }

  @Test
  void whatIsNoHeadIsAPictureOfAnyKind() {
    Raster photograph = NonHeads.gray(Raster.filled(3, 700, 900, 0.5f));
    assertThat(Math.max(photograph.height(), photograph.width())).isEqualTo(512);
    assertThat(photograph.at(0, 100, 100)).isCloseTo(0.5f, within(1e-5f));
    NonHeads nonHeads = new NonHeads(List.of(photograph), List.of());
    Random random = new Random(5);
    int even = 0;
    for (int i = 0; i < 60; i++) {
      Raster drawn = nonHeads.draw(random, HEIGHT, WIDTH);
      float least = 1;
      float most = 0;
      for (float value : drawn.data()) {
        least = Math.min(least, value);
        most = Math.max(most, value);
      }
      assertThat(least).isBetween(0f, most);
      assertThat(most).isLessThanOrEqualTo(1);
      even += most - least < 1e-4 ? 1 : 0;
    }
    assertThat(even).as("parts of an even photograph").isBetween(10, 50);
  }

  @Test
  void lookalikesAreDrawnOnTheirGroundAndNeverTheSame() {
    Raster ground = Raster.filled(1, HEIGHT, WIDTH, 0.25f);
    Raster texture = Raster.filled(1, HEIGHT, WIDTH, 0.75f);
    Set<List<Float>> pictures = new HashSet<>();
    Random random = new Random(9);
    int withGround = 0;
    for (int i = 0; i < 40; i++) {
      float[] drawn = Lookalikes.draw(random, ground, texture, HEIGHT, WIDTH).data();
      int left = 0;
      List<Float> values = new ArrayList<>();
      for (float value : drawn) {
        assertThat(value).isBetween(0f, 1f);
        left += value == 0.25f ? 1 : 0;
        values.add(value);
      }
      // Fur and pages may cover all of it.
      assertThat(left).as("pixels of the ground").isLessThan(drawn.length);
      withGround += left > 0 ? 1 : 0;
      pictures.add(values);
    }
    assertThat(withGround).as("pictures that show their ground").isGreaterThan(20);
    assertThat(pictures).hasSize(40);
    assertThat(ground.data()).containsOnly(0.25f);
  }

  @Test
  void drawingsOfThingsLieOnAnEvenGround() throws IOException {
    Path icons =
        Files.writeString(
            folder.resolve("icons.json"),
            """
            {"prefix": "tiny", "width": 8, "height": 8, "icons": {
              "a": {"body": "<rect x='2' y='2' width='4' height='4' fill='#fff'/>"},
              "b": {"body": "<rect width='8' height='8' fill='#f00'/>"},
              "c": {"body": "<rect width='8' height='8' fill='#000'/>"}}}
            """);
    Map<String, Raster> drawings = NonHeads.drawings(icons, 2);
    assertThat(drawings).containsOnlyKeys("a", "b");
    Raster picture = NonHeads.placed(drawings.get("a"), 0.25f, 0.5, 0.5, 0.5, HEIGHT, WIDTH);
    assertThat(picture.at(0, HEIGHT / 2, WIDTH / 2)).isCloseTo(1, within(1e-5f));
    assertThat(picture.at(0, HEIGHT / 2, WIDTH / 2 - WIDTH / 5)).isCloseTo(0.25f, within(1e-5f));
    assertThat(picture.at(0, 0, 0)).isCloseTo(0.25f, within(1e-5f));
    Raster red = NonHeads.placed(drawings.get("b"), 0, 2, 0.5, 0.5, HEIGHT, WIDTH);
    assertThat(red.at(0, 3, 3)).isCloseTo(1 / 3f, within(1e-5f));

    // With drawings, a third of what is drawn are they.
    NonHeads nonHeads =
        new NonHeads(List.of(Raster.filled(1, 9, 9, 0.5f)), List.copyOf(drawings.values()));
    Random random = new Random(7);
    for (int i = 0; i < 30; i++) {
      Raster drawn = nonHeads.draw(random, HEIGHT, WIDTH);
      for (float value : drawn.data()) {
        assertThat(value).isBetween(0f, 1f);
      }
    }
  }

  private static Raster disc() {
    float[] data = new float[HEIGHT * WIDTH];
    for (int y = 0; y < HEIGHT; y++) {
      for (int x = 0; x < WIDTH; x++) {
        double u = x - WIDTH / 2.0;
        double v = y - HEIGHT / 2.0;
        data[y * WIDTH + x] = u * u + v * v < 100 ? 1 : 0;
      }
    }
    return new Raster(1, HEIGHT, WIDTH, data);
  }
}
