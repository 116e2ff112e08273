/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.noise.NoiseField;
import io.github.flinkdiffusion.ops.quality.Seams;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

class TilesTest {

  @Property(tries = 300)
  void tilesOfOneSizeCoverEachPixelAndOverlapAsAsked(
      @ForAll @IntRange(min = 1, max = 200) int width,
      @ForAll @IntRange(min = 1, max = 200) int height,
      @ForAll @IntRange(min = 1, max = 64) int tile,
      @ForAll @IntRange(max = 32) int overlap,
      @ForAll @IntRange(min = 1, max = 3) int scale) {
    int possible = Math.min(overlap, tile / 2);
    TilePlan plan = TilePlan.of(width, height).tile(tile).overlap(possible).scale(scale).plan();
    double[] columns = new double[plan.resultWidth()];
    double[] rows = new double[plan.resultHeight()];
    for (TilePlan.Tile each : plan.tiles()) {
      Window window = each.window();
      window.requireInside(width, height);
      assertThat(window.width()).isEqualTo(Math.min(tile, width));
      assertThat(window.height()).isEqualTo(Math.min(tile, height));
      assertThat(plan.tile(each.index())).isEqualTo(each);
      if (each.column() > 0) {
        Window left = plan.tile(each.index() - 1).window();
        assertThat(left.right() - window.x()).isGreaterThanOrEqualTo(possible);
      }
      if (each.row() == 0) {
        add(columns, plan.columnWeights(each), window.x() * scale);
      }
      if (each.column() == 0) {
        add(rows, plan.rowWeights(each), window.y() * scale);
      }
    }
    assertThat(columns).as("weights of columns").containsOnly(new double[] {1}, within(1e-12));
    assertThat(rows).as("weights of rows").containsOnly(new double[] {1}, within(1e-12));
  }

  private static void add(double[] sums, double[] weights, int at) {
    for (int i = 0; i < weights.length; i++) {
      assertThat(weights[i]).isBetween(0.0, 1.0);
      sums[at + i] += weights[i];
    }
  }

  @Property(tries = 100)
  void tilesBeginAtMultiplesOfTheAlignment(
      @ForAll @IntRange(min = 1, max = 50) int width,
      @ForAll @IntRange(min = 1, max = 8) int tile,
      @ForAll @IntRange(max = 32) int overlap) {
    int possible = Math.min(overlap, 8 * tile / 2);
    if (tile == 1 && possible > 0) {
      return;
    }
    TilePlan plan = TilePlan.of(8 * width, 8).tile(8 * tile).overlap(possible).alignment(8).plan();
    for (TilePlan.Tile each : plan.tiles()) {
      assertThat(each.window().x() % 8).isZero();
    }
    assertThat(plan.tile(plan.size() - 1).window().right()).isEqualTo(8 * width);
  }

  @Property(tries = 60)
  void whatWasCutIsPutTogetherAgainTheSameInAnyOrder(
      @ForAll @IntRange(min = 1, max = 90) int width,
      @ForAll @IntRange(min = 1, max = 90) int height,
      @ForAll long seed) {
    Raster picture = PngCodecTest.noise(2, height, width, seed);
    TilePlan plan = TilePlan.of(width, height).tile(24).overlap(7).plan();
    List<TilePlan.Tile> shuffled = new ArrayList<>(plan.tiles());
    Collections.shuffle(shuffled, new Random(seed));
    Raster ordered = blend(plan, plan.tiles(), picture, 1);
    Raster blended = blend(plan, shuffled, picture, 1);
    assertThat(blended).isEqualTo(ordered);
    for (int i = 0; i < picture.data().length; i++) {
      assertThat(blended.data()[i]).isCloseTo(picture.data()[i], within(1e-7f));
    }
  }

  /** Blends the parts of a picture, enlarged by repeating pixels. */
  private static Raster blend(TilePlan plan, List<TilePlan.Tile> order, Raster picture, int scale) {
    Rows rows = new Rows(picture.channels(), plan);
    TileBlender blender =
        new TileBlender(plan, picture.format(), picture.metadata(), picture.channels(), rows::add);
    for (TilePlan.Tile tile : order) {
      assertThat(blender.complete()).isFalse();
      blender.add(tile, repeated(picture.crop(tile.window()), scale));
    }
    assertThat(blender.complete()).isTrue();
    return rows.whole();
  }

  private static Raster repeated(Raster picture, int scale) {
    int height = picture.height() * scale;
    int width = picture.width() * scale;
    float[] data = new float[picture.channels() * height * width];
    for (int c = 0; c < picture.channels(); c++) {
      for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
          data[(c * height + y) * width + x] = picture.at(c, y / scale, x / scale);
        }
      }
    }
    return new Raster(picture.channels(), height, width, data);
  }

  /** Collects what a blender hands on. */
  private static final class Rows {
    private final TilePlan plan;
    private final int channels;
    private final float[] data;
    private int received;

    Rows(int channels, TilePlan plan) {
      this.plan = plan;
      this.channels = channels;
      this.data = new float[channels * plan.resultHeight() * plan.resultWidth()];
    }

    void add(Raster rows) {
      for (int c = 0; c < channels; c++) {
        System.arraycopy(
            rows.data(),
            c * rows.height() * rows.width(),
            data,
            (c * plan.resultHeight() + received) * plan.resultWidth(),
            rows.height() * rows.width());
      }
      received += rows.height();
    }

    Raster whole() {
      assertThat(received).isEqualTo(plan.resultHeight());
      return new Raster(channels, plan.resultHeight(), plan.resultWidth(), data);
    }
  }

  @Example
  void holdsOnlyRowsThatTilesInFlightTouch() {
    TilePlan plan = TilePlan.of(64, 2000).tile(64).overlap(8).scale(2).plan();
    TileBlender blender =
        new TileBlender(plan, PixelFormat.ofPicture(1), ImageMetadata.NONE, 1, rows -> {});
    for (TilePlan.Tile tile : plan.tiles()) {
      blender.add(tile, Raster.filled(1, 128, 128, 0.5f));
    }
    assertThat(blender.complete()).isTrue();
    assertThat(blender.mostRowsHeld()).isLessThanOrEqualTo(2 * 2 * 64);
  }

  @Example
  void metadataAndFormatAreThoseOfTheWholeResult() {
    ImageMetadata metadata = ImageMetadata.NONE.withSpacing(new PixelSpacing(2, 2));
    PixelFormat format = PixelFormat.of(Bands.GRAY, SampleType.UINT16);
    TilePlan plan = TilePlan.of(10, 10).tile(10).overlap(0).scale(4).plan();
    List<Raster> rows = new ArrayList<>();
    TileBlender blender = new TileBlender(plan, format, metadata, 1, rows::add);
    blender.add(plan.tile(0), Raster.filled(1, 40, 40, 0.25f));
    assertThat(rows).hasSize(1);
    assertThat(rows.get(0).format()).isEqualTo(format);
    assertThat(rows.get(0).metadata().spacing()).contains(new PixelSpacing(0.5, 0.5));
    assertThat(rows.get(0).data()).containsOnly(0.25f);
  }

  /**
   * Tiles that differ, each in its own level and noise, as samples of a generative model do:
   * blended with this plan no seam is seen, put side by side they show it.
   */
  @Example
  void differingTilesAreBlendedWithoutASeam() {
    TilePlan plan = TilePlan.of(400, 400).tile(112).overlap(16).plan();
    Raster texture = new Raster(1, 400, 400, new NoiseField(3).draw(0, 1, 0, 0, 400, 400));
    Rows blended = new Rows(1, plan);
    TileBlender blender =
        new TileBlender(plan, PixelFormat.ofPicture(1), ImageMetadata.NONE, 1, blended::add);
    float[] sideBySide = new float[160_000];
    Random levels = new Random(5);
    for (TilePlan.Tile tile : plan.tiles()) {
      Raster part = texture.crop(tile.window());
      float level = levels.nextFloat() * 4;
      float[] shifted = part.data().clone();
      for (int i = 0; i < shifted.length; i++) {
        shifted[i] = shifted[i] * 0.2f + level;
      }
      Raster result = new Raster(1, 112, 112, shifted);
      blender.add(tile, result);
      Window window = tile.window();
      for (int y = 0; y < 112; y++) {
        System.arraycopy(shifted, y * 112, sideBySide, (window.y() + y) * 400 + window.x(), 112);
      }
    }
    int[] lines = IntStream.range(1, plan.columns()).map(i -> plan.tile(i).window().x()).toArray();
    assertThat(lines).hasSize(3);
    assertThat(Seams.excess(blended.whole(), lines, lines)).isLessThan(1.1);
    assertThat(Seams.excess(new Raster(1, 400, 400, sideBySide), lines, lines)).isGreaterThan(2);
  }

  @Example
  void refusesImpossiblePlansAndResults() {
    assertThatThrownBy(() -> TilePlan.of(10, 10).tile(8).overlap(5).plan())
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("0 to 4");
    assertThatThrownBy(() -> TilePlan.of(0, 10).plan()).isInstanceOf(ImageException.class);
    assertThatThrownBy(() -> TilePlan.of(20, 10).tile(8).overlap(0).alignment(8).plan())
        .hasMessageContaining("multiple of 8");
    assertThatThrownBy(() -> TilePlan.of(1 << 30, 10).scale(4).plan())
        .hasMessageContaining("4 times enlarged");
    TilePlan plan = TilePlan.of(20, 10).tile(12).overlap(2).plan();
    TileBlender blender =
        new TileBlender(plan, PixelFormat.ofPicture(1), ImageMetadata.NONE, 1, rows -> {});
    assertThatThrownBy(() -> blender.add(plan.tile(0), Raster.filled(1, 12, 12, 0)))
        .hasMessageContaining("1 x 10 x 12 is needed");
    assertThatThrownBy(() -> blender.add(plan.tile(0), Raster.filled(1, 10, 12, Float.NaN)))
        .hasMessageContaining("NaN");
    blender.add(plan.tile(0), Raster.filled(1, 10, 12, 0));
    assertThatThrownBy(() -> blender.add(plan.tile(0), Raster.filled(1, 10, 12, 0)))
        .hasMessageContaining("second time");
  }

  @Example
  void tilesOfOneStepOfTheirGridCannotOverlap() {
    assertThatThrownBy(() -> TilePlan.of(64, 32).tile(16).alignment(16).overlap(4).plan())
        .isInstanceOf(ImageException.class)
        .hasMessage(
            "Tiles of 16 pixels that begin at multiples of 16 cannot overlap by 4; 0 to 0 are possible");
    assertThat(TilePlan.of(64, 32).tile(16).alignment(16).overlap(0).plan().size()).isEqualTo(8);
    assertThat(TilePlan.of(16, 16).tile(16).alignment(16).overlap(4).plan().size()).isEqualTo(1);
  }
}
