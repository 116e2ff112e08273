/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.image.TileBlender;
import io.github.flinkdiffusion.ops.image.Window;
import java.util.function.Consumer;
import java.util.function.IntFunction;

/** The results of a picture's tiles as rows of the whole result, from the top. */
final class Assembly {
  private static final PixelFormat PLAIN = PixelFormat.of(Bands.MEASUREMENTS, SampleType.FLOAT32);

  private Assembly() {}

  /**
   * Asks for each tile's result once, in order, and hands on rows as soon as they are whole; what
   * is in memory is two rows of tiles.
   *
   * @param first any tile's result, for what all have in common
   * @param tiles a tile's result by its number
   * @param rows takes the rows, as wide as the result
   */
  static void assemble(
      TaskPlan plan, Raster first, IntFunction<Raster> tiles, Consumer<Raster> rows) {
    int width = plan.resultWidth(first);
    int height = plan.resultHeight(first);
    if (!plan.isTiled()) {
      rows.accept(cut(tiles.apply(0), width, height));
      return;
    }
    int[] begin = {0};
    TileBlender blender =
        new TileBlender(
            plan.tiles(),
            PLAIN,
            ImageMetadata.NONE,
            first.channels(),
            blended -> {
              int left = height - begin[0];
              begin[0] += blended.height();
              if (left > 0) {
                rows.accept(cut(blended, width, Math.min(left, blended.height())));
              }
            });
    for (int tile = 0; tile < plan.tiles().size(); tile++) {
      blender.add(plan.tiles().tile(tile), tiles.apply(tile));
    }
  }

  private static Raster cut(Raster rows, int width, int height) {
    return rows.width() == width && rows.height() == height
        ? rows
        : rows.crop(new Window(0, 0, width, height));
  }

  /** All rows as one raster. */
  static Raster whole(TaskPlan plan, Raster first, IntFunction<Raster> tiles) {
    int channels = first.channels();
    int height = plan.resultHeight(first);
    int width = plan.resultWidth(first);
    float[] all = new float[Math.multiplyExact(channels, Math.multiplyExact(height, width))];
    int[] begin = {0};
    assemble(
        plan,
        first,
        tiles,
        rows -> {
          for (int c = 0; c < channels; c++) {
            System.arraycopy(
                rows.data(),
                c * rows.height() * width,
                all,
                (c * height + begin[0]) * width,
                rows.height() * width);
          }
          begin[0] += rows.height();
        });
    return new Raster(channels, height, width, all, PLAIN, ImageMetadata.NONE);
  }

  /** Some of a raster's channels. */
  static Raster channels(Raster raster, int first, int count) {
    int plane = raster.height() * raster.width();
    float[] part = new float[count * plane];
    System.arraycopy(raster.data(), first * plane, part, 0, part.length);
    return new Raster(count, raster.height(), raster.width(), part, PLAIN, ImageMetadata.NONE);
  }
}
