/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import org.apache.flink.annotation.Internal;

/**
 * How a model works on parts of a larger image, so that their results fit together: what a part
 * becomes depends on what lies near it alone, and noise is a function of the place.
 *
 * @param scale pixels of the result for one of the image, along a side
 * @param alignment what the sides and the corners of a part are multiples of, in pixels of the
 *     image: the grid of the model's latents
 * @param tile a good side for parts, in pixels of the image: what the model was made for
 */
@Internal
public record Tiling(int scale, int alignment, int tile) {
  public Tiling {
    if (scale < 1 || alignment < 1 || tile < alignment || tile % alignment != 0) {
      throw new IllegalArgumentException(
          "Tiles of %d pixels, aligned to %d, %d times enlarged; all are from 1, and a tile is a multiple of the alignment."
              .formatted(tile, alignment, scale));
    }
  }

  /**
   * @param tile a side, made a multiple of the alignment
   */
  static Tiling of(int scale, int alignment, int tile) {
    int cells = Math.max(1, (tile + alignment - 1) / alignment);
    return new Tiling(scale, alignment, cells * alignment);
  }

  /**
   * Checks a request that has a place in a larger picture.
   *
   * @throws InvalidRequestException unless the part's corner and sides lie on the grid
   */
  void check(GenerationRequest request) {
    Numbers leftTop = request.get(Parameters.TILE_TOP_LEFT);
    int grid = scale * alignment;
    check(leftTop, 0, request.width(), grid);
    check(leftTop, 1, request.height(), grid);
  }

  private static void check(Numbers leftTop, int axis, int side, int grid) {
    double at = leftTop.at(axis);
    if (at % grid != 0 || side % grid != 0 || at + side > Integer.MAX_VALUE) {
      throw new InvalidRequestException(
          "tileTopLeft is %s and a side of the part is %d pixels; all must be multiples of %d, and the part must end before 2^31."
              .formatted(leftTop, side, grid));
    }
  }
}
