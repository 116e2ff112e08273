/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Consumer;
import org.apache.flink.annotation.Internal;

/**
 * Puts the results of a picture's tiles together, in whatever order they are finished, and hands on
 * rows of the whole result from the top as soon as nothing can be added to them.
 *
 * <p>Only rows are held that some tile has touched and another may still touch: if tiles come about
 * in the plan's order, two rows of tiles. The result does not depend on the order in any bit,
 * because values are added as whole numbers of 2^-32.
 *
 * <p>Not thread-safe.
 */
@Internal
public final class TileBlender {
  private static final double ONE = 0x1p32;

  /** Of the rows that are handed on at once, unless a few rows have more. */
  private static final int MOST_FLOATS = 2 << 20;

  /** More than any unit of measurement needs, and so little that no sum can overflow. */
  private static final float LARGEST = 0x1p28f;

  private final TilePlan plan;
  private final int channels;
  private final PixelFormat format;
  private final ImageMetadata metadata;
  private final Consumer<Raster> completedRows;

  private final BitSet added = new BitSet();

  /** How many tiles each row of tiles still waits for. */
  private final int[] missing;

  /** Sums by row of the result, channel by channel. */
  private final Map<Integer, long[]> sums = new HashMap<>();

  private int emitted;
  private int mostRowsHeld;

  /**
   * @param source what was cut: its format and metadata, scaled, are those of the rows
   * @param channels of the results, which need not be the source's
   * @param completedRows takes the rows, from the top, some at a time; a raster's metadata are of
   *     the whole result
   */
  public TileBlender(
      TilePlan plan,
      PixelFormat source,
      ImageMetadata metadata,
      int channels,
      Consumer<Raster> completedRows) {
    this.plan = plan;
    this.channels = channels;
    this.format = source;
    this.metadata = metadata.scaled(plan.scale(), plan.scale());
    this.completedRows = completedRows;
    this.missing = new int[plan.rows()];
    Arrays.fill(missing, plan.columns());
  }

  /**
   * Adds a tile's result.
   *
   * @throws ImageException if the tile was added before, or its result has another size than the
   *     plan says, or a value that is not finite
   */
  public void add(TilePlan.Tile tile, Raster result) {
    Window window = tile.window().scaled(plan.scale());
    if (result.channels() != channels
        || result.width() != window.width()
        || result.height() != window.height()) {
      throw new ImageException(
          "%s is the result of tile %d; %d x %d x %d is needed"
              .formatted(result, tile.index(), channels, window.height(), window.width()));
    }
    if (added.get(tile.index())) {
      throw new ImageException("Tile %d is added a second time".formatted(tile.index()));
    }
    requireUsable(tile, result);
    double[] columnWeights = plan.columnWeights(tile);
    double[] rowWeights = plan.rowWeights(tile);
    for (int y = 0; y < window.height(); y++) {
      long[] sum =
          sums.computeIfAbsent(window.y() + y, row -> new long[channels * plan.resultWidth()]);
      for (int c = 0; c < channels; c++) {
        int from = (c * window.height() + y) * window.width();
        int to = c * plan.resultWidth() + window.x();
        for (int x = 0; x < window.width(); x++) {
          double weight = rowWeights[y] * columnWeights[x];
          sum[to + x] += Math.round(result.data()[from + x] * weight * ONE);
        }
      }
    }
    mostRowsHeld = Math.max(mostRowsHeld, sums.size());
    added.set(tile.index());
    missing[tile.row()]--;
    emit();
  }

  /** Whether all tiles were added, and so all rows handed on. */
  public boolean complete() {
    return emitted == plan.resultHeight();
  }

  /** The most rows of the result that were in memory at once. */
  int mostRowsHeld() {
    return mostRowsHeld;
  }

  private static void requireUsable(TilePlan.Tile tile, Raster result) {
    for (float value : result.data()) {
      if (!(Math.abs(value) <= LARGEST)) {
        throw new ImageException(
            "The result of tile %d holds the value %s; finite ones up to %s are blended"
                .formatted(tile.index(), value, LARGEST));
      }
    }
  }

  /** Hands on the rows before those of the first row of tiles that is not finished. */
  private void emit() {
    int unfinished = 0;
    while (unfinished < missing.length && missing[unfinished] == 0) {
      unfinished++;
    }
    int end = unfinished == missing.length ? plan.resultHeight() : plan.firstResultRow(unfinished);
    // Some at a time, since rows of a large image are many.
    int step = plan.scale();
    int most = MOST_FLOATS / channels / plan.resultWidth() / step * step;
    while (emitted < end) {
      emit(Math.min(end - emitted, Math.max(step, most)));
    }
  }

  private void emit(int height) {
    int width = plan.resultWidth();
    float[] data = new float[Math.multiplyExact(channels, Math.multiplyExact(height, width))];
    for (int y = 0; y < height; y++) {
      long[] sum = sums.remove(emitted + y);
      for (int c = 0; c < channels; c++) {
        int to = (c * height + y) * width;
        for (int x = 0; x < width; x++) {
          data[to + x] = (float) (sum[c * width + x] / ONE);
        }
      }
    }
    emitted += height;
    Bands bands = format.bands().fits(channels) ? format.bands() : Bands.ofPicture(channels);
    completedRows.accept(
        new Raster(channels, height, width, data, format.withBands(bands), metadata));
  }
}
