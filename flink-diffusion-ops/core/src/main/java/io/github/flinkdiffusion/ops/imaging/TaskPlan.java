/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.TilePlan;
import io.github.flinkdiffusion.ops.image.Window;
import org.apache.flink.annotation.Internal;

/**
 * The parts of one image task: every sample of every tile is a trajectory of its own. The samples
 * of a tile are next to each other, so that a tile is done before too many are begun.
 *
 * <p>A picture whose sides are no multiples of what the model needs is continued by its last row
 * and column, and the result is cut off there.
 *
 * <p>Slices of a volume are pictures of one size, each of which is cut the same way. Their tiles
 * are numbered one slice after the other.
 *
 * @param width of the picture, in pixels
 * @param height of the picture
 * @param tiles of the picture with its margin; one tile when it is worked on as a whole
 * @param slices that are worked on, from 1
 * @param samples of each tile, from 1
 */
@Internal
public record TaskPlan(int width, int height, TilePlan tiles, int slices, int samples) {

  /**
   * A picture that is not cut, by a model that gives a result {@code scale} times as large.
   *
   * @param alignment what sides are made multiples of
   */
  public static TaskPlan whole(int width, int height, int scale, int alignment, int samples) {
    int paddedWidth = up(width, alignment);
    int paddedHeight = up(height, alignment);
    TilePlan one =
        TilePlan.of(paddedWidth, paddedHeight)
            .tile(Math.max(paddedWidth, paddedHeight))
            .overlap(0)
            .alignment(alignment)
            .scale(scale)
            .plan();
    return new TaskPlan(width, height, one, 1, samples);
  }

  /** A picture that is cut into tiles, see {@link TilePlan}. */
  public static TaskPlan tiled(
      int width, int height, int scale, int alignment, int tile, int overlap, int samples) {
    TilePlan tiles =
        TilePlan.of(up(width, alignment), up(height, alignment))
            .tile(up(tile, alignment))
            .overlap(overlap)
            .alignment(alignment)
            .scale(scale)
            .plan();
    return new TaskPlan(width, height, tiles, 1, samples);
  }

  private static int up(int length, int multiple) {
    return Math.multiplyExact((length + multiple - 1) / multiple, multiple);
  }

  /** The same for so many slices. */
  public TaskPlan ofSlices(int number) {
    return new TaskPlan(width, height, tiles, number, samples);
  }

  /** Parts in all. */
  public int size() {
    return Math.multiplyExact(tileCount(), samples);
  }

  /** Tiles of all slices. */
  public int tileCount() {
    return Math.multiplyExact(tiles.size(), slices);
  }

  /** Which slice a tile is of, from 0. */
  public int sliceOf(int tile) {
    return tile / tiles.size();
  }

  /** A tile as it lies in its slice. */
  public TilePlan.Tile tile(int tile) {
    return tiles.tile(tile % tiles.size());
  }

  /** Which tile a part is of. */
  public int tileOf(int part) {
    return part / samples;
  }

  /** Which of its tile's samples a part is, from 0. */
  public int sampleOf(int part) {
    return part % samples;
  }

  public boolean isTiled() {
    return tiles.size() > 1;
  }

  /**
   * Of the result, in pixels: without tiles, what the model made of the whole picture.
   *
   * @param tile any tile's result
   */
  public int resultWidth(Raster tile) {
    return isTiled()
        ? Math.multiplyExact(width, tiles.scale())
        : part(tile.width(), width, tiles.resultWidth() / tiles.scale());
  }

  /** As {@link #resultWidth}. */
  public int resultHeight(Raster tile) {
    return isTiled()
        ? Math.multiplyExact(height, tiles.scale())
        : part(tile.height(), height, tiles.resultHeight() / tiles.scale());
  }

  /** What is left of a result when the picture's margin is cut off. */
  private static int part(int result, int length, int padded) {
    return (int) Math.max(1, (long) result * length / padded);
  }

  /**
   * A tile's part of the picture, continued beyond its edges where the tile is.
   *
   * @param scene the tile's slice
   */
  public Raster read(Scene scene, int tile) {
    Window window = tile(tile).window();
    int right = Math.min(window.right(), width);
    int bottom = Math.min(window.bottom(), height);
    Raster inside =
        scene.read(new Window(window.x(), window.y(), right - window.x(), bottom - window.y()));
    if (inside.width() == window.width() && inside.height() == window.height()) {
      return inside;
    }
    float[] continued = new float[inside.channels() * window.height() * window.width()];
    int to = 0;
    for (int c = 0; c < inside.channels(); c++) {
      for (int y = 0; y < window.height(); y++) {
        for (int x = 0; x < window.width(); x++) {
          continued[to++] =
              inside.at(c, Math.min(y, inside.height() - 1), Math.min(x, inside.width() - 1));
        }
      }
    }
    Raster part =
        new Raster(
            inside.channels(),
            window.height(),
            window.width(),
            continued,
            inside.format(),
            inside.metadata());
    return inside
        .noData()
        .map(mask -> part.masked(mask.continued(window.height(), window.width())))
        .orElse(part);
  }

  /** The size of a tile's result, by the model's scale. */
  public Window resultWindow(int tile) {
    return tile(tile).window().scaled(tiles.scale());
  }

  /** What must be equal for progress on parts to be worth anything. */
  public String fingerprint() {
    Window first = tiles.tile(0).window();
    String ofSlice =
        "%d x %d, %d x %d tiles of %d x %d, times %d, %d samples"
            .formatted(
                width,
                height,
                tiles.columns(),
                tiles.rows(),
                first.width(),
                first.height(),
                tiles.scale(),
                samples);
    return slices == 1 ? ofSlice : ofSlice + ", %d slices".formatted(slices);
  }
}
