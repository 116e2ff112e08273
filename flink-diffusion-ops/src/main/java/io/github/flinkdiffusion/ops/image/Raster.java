package io.github.flinkdiffusion.ops.image;

/**
 * A picture as numbers.
 *
 * @param channels bands, three for RGB
 * @param height in pixels
 * @param width in pixels
 * @param data channels x height x width in C order, 0..1 for pictures; not copied, so nobody writes to it any more
 */
public record Raster(int channels, int height, int width, float[] data) {
  public Raster {
    if (channels < 1 || height < 1 || width < 1 || (long) channels * height * width != data.length) {
      throw new IllegalArgumentException(
          "A raster of " + channels + " x " + height + " x " + width + " can not have " + data.length + " values.");
    }
  }
}
