/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.ArrayList;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * How a picture is cut into overlapping tiles of one size, so that a network's batch can hold tiles
 * of several pictures, and how the tiles' results are weighed where they overlap.
 *
 * <p>Along each axis there are as few tiles as the overlap allows, spread evenly from edge to edge,
 * so neighbours overlap by at least what was asked for. A picture that is smaller than a tile along
 * an axis has one tile there, as long as the picture.
 *
 * <p>Weights are smooth, and those of all tiles over a pixel add up to 1. They fall to nothing at a
 * tile's edge unless the edge is the picture's.
 *
 * <pre>{@code
 * TilePlan plan = TilePlan.of(8192, 8192).tile(256).overlap(32).scale(4).plan();
 * for (TilePlan.Tile tile : plan.tiles()) {
 *   Raster part = reader.read(tile.window());     // 256 x 256
 *   blender.add(tile, enlarge(part));             // 1024 x 1024
 * }
 * }</pre>
 */
@Internal
public final class TilePlan {
  private final Axis columns;
  private final Axis rows;
  private final int scale;

  /**
   * One tile.
   *
   * @param index its number, rows of tiles from the top, each from the left
   * @param column which of its row
   * @param row which row of tiles
   * @param window its place in the picture that is cut; multiply by the scale for the result
   */
  public record Tile(int index, int column, int row, Window window) {}

  /** What a plan is made from. */
  public static final class Builder {
    private final int width;
    private final int height;
    private int tile = 256;
    private int overlap = 32;
    private int scale = 1;
    private int alignment = 1;

    private Builder(int width, int height) {
      this.width = width;
      this.height = height;
    }

    /** The side of a tile in pixels; 256 if not set. */
    public Builder tile(int pixels) {
      tile = pixels;
      return this;
    }

    /** By how many pixels neighbours overlap at least; 32 if not set. */
    public Builder overlap(int pixels) {
      overlap = pixels;
      return this;
    }

    /** How many times larger than the tiles their results are; 1 if not set. */
    public Builder scale(int factor) {
      scale = factor;
      return this;
    }

    /**
     * Tiles begin at multiples of this; 1 if not set. A model that works on latents of an eighth of
     * the size needs 8, so that overlapping tiles' latents lie on the same grid. The picture's
     * sides and the tile's must then be multiples too.
     */
    public Builder alignment(int pixels) {
      alignment = pixels;
      return this;
    }

    /**
     * @throws ImageException if a size is not positive, the overlap is more than half a tile, or
     *     sides are not aligned
     */
    public TilePlan plan() {
      if (width < 1 || height < 1 || tile < 1 || scale < 1 || alignment < 1) {
        throw new ImageException(
            ("Tiles of %d pixels for an image of %d x %d, scale %d, alignment %d; each must be at"
                    + " least 1")
                .formatted(tile, width, height, scale, alignment));
      }
      if (overlap < 0 || overlap > tile / 2) {
        throw new ImageException(
            "Tiles of %d pixels that overlap by %d; 0 to %d are possible"
                .formatted(tile, overlap, tile / 2));
      }
      if (width % alignment != 0 || height % alignment != 0 || tile % alignment != 0) {
        throw new ImageException(
            "An image of %d x %d pixels in tiles of %d; each must be a multiple of %d"
                .formatted(width, height, tile, alignment));
      }
      if (overlap > 0 && overlap > tile - alignment && Math.max(width, height) > tile) {
        throw new ImageException(
            "Tiles of %d pixels that begin at multiples of %d cannot overlap by %d; 0 to %d are possible"
                .formatted(tile, alignment, overlap, tile - alignment));
      }
      if ((long) Math.max(width, height) * scale > Integer.MAX_VALUE) {
        throw new ImageException(
            "An image of %d x %d pixels, %d times enlarged, has more than %d a side"
                .formatted(width, height, scale, Integer.MAX_VALUE));
      }
      return new TilePlan(axis(width), axis(height), scale);
    }

    private Axis axis(int length) {
      return Axis.of(length / alignment, tile / alignment, overlap, alignment, scale);
    }
  }

  /** Starts a plan for a picture of this size. */
  public static Builder of(int width, int height) {
    return new Builder(width, height);
  }

  private TilePlan(Axis columns, Axis rows, int scale) {
    this.columns = columns;
    this.rows = rows;
    this.scale = scale;
  }

  public int scale() {
    return scale;
  }

  /** Tiles beside each other. */
  public int columns() {
    return columns.starts.length;
  }

  /** Tiles above each other. */
  public int rows() {
    return rows.starts.length;
  }

  /** Tiles in all. */
  public int size() {
    return Math.multiplyExact(columns(), rows());
  }

  /** Tile number {@code index}, from 0. */
  public Tile tile(int index) {
    int column = index % columns();
    int row = index / columns();
    Window window = new Window(columns.starts[column], rows.starts[row], columns.tile, rows.tile);
    return new Tile(index, column, row, window);
  }

  /** All tiles, from the top. */
  public List<Tile> tiles() {
    List<Tile> tiles = new ArrayList<>(size());
    for (int i = 0; i < size(); i++) {
      tiles.add(tile(i));
    }
    return tiles;
  }

  /** Pixels of a row of the result. */
  public int resultWidth() {
    return columns.length * scale;
  }

  /** Rows of the result. */
  public int resultHeight() {
    return rows.length * scale;
  }

  /**
   * How much the pixels of a tile's result count, by their column; a pixel's whole weight is this
   * times that of its row.
   */
  double[] columnWeights(Tile tile) {
    return columns.weights(tile.column());
  }

  double[] rowWeights(Tile tile) {
    return rows.weights(tile.row());
  }

  /** The first row of the result that belongs to a row of tiles or to later ones alone. */
  int firstResultRow(int row) {
    return rows.starts[row] * scale;
  }

  /** Tiles along one axis. */
  private static final class Axis {
    private final int length;
    private final int tile;
    private final int scale;
    private final int[] starts;

    private Axis(int length, int tile, int scale, int[] starts) {
      this.length = length;
      this.tile = tile;
      this.scale = scale;
      this.starts = starts;
    }

    /** Length and tile are in units of the alignment, the overlap in pixels. */
    static Axis of(int length, int tile, int overlap, int alignment, int scale) {
      if (length <= tile) {
        return new Axis(length * alignment, length * alignment, scale, new int[1]);
      }
      int stride = tile - (overlap + alignment - 1) / alignment;
      int gaps = (length - tile + stride - 1) / stride;
      int[] starts = new int[gaps + 1];
      for (int i = 0; i <= gaps; i++) {
        starts[i] = (int) ((long) i * (length - tile) / gaps) * alignment;
      }
      return new Axis(length * alignment, tile * alignment, scale, starts);
    }

    /** Of the pixels of a result, normalised over all tiles that cover each. */
    double[] weights(int index) {
      double[] weights = new double[tile * scale];
      for (int i = 0; i < weights.length; i++) {
        double position = starts[index] + (i + 0.5) / scale;
        double sum = 0;
        for (int other = index; other >= 0 && starts[other] + tile > position; other--) {
          sum += bell(position - starts[other]);
        }
        for (int other = index + 1; other < starts.length && starts[other] < position; other++) {
          sum += bell(position - starts[other]);
        }
        weights[i] = bell(position - starts[index]) / sum;
      }
      return weights;
    }

    /** Nothing at a tile's ends and most in its middle. */
    private double bell(double position) {
      double sine = Math.sin(Math.PI * position / tile);
      return sine * sine;
    }
  }
}
