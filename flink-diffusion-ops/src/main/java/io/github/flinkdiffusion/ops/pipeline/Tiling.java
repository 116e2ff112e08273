package io.github.flinkdiffusion.ops.pipeline;

/**
 * How a model works on parts of a larger image, so that their results fit together: what a part
 * becomes depends on what lies near it alone, and noise is a function of the place.
 *
 * @param scale pixels of the result for one of the image, along a side
 * @param alignment what the sides and the corners of a part are multiples of, in pixels of the
 *     image: the grid of the model's latents
 * @param tile a good side for parts, in pixels of the image: what the model was made for
 */
public record Tiling(int scale, int alignment, int tile) {
  public Tiling {
    if (scale < 1 || alignment < 1 || tile < alignment || tile % alignment != 0) {
      throw new IllegalArgumentException(
          "Tiles of %d pixels, aligned to %d, %d times enlarged; all are from 1, and a tile is a multiple of the alignment."
              .formatted(tile, alignment, scale));
    }
  }
}
