package io.github.flinkdiffusion.ops.noise;

/**
 * Standard normal noise over a plane without end: the value at a place depends on the seed, the
 * draw, the channel and the absolute coordinates, and on nothing else. Two tiles of a picture that
 * overlap get the same values there to the bit, whichever is drawn first and on whatever machine,
 * and a tile of a huge picture costs no more than its own size.
 *
 * <p>Values are made by {@link Philox Philox4x32-10} and Box-Muller with {@link StrictMath}; the
 * largest there are lie near 6.7.
 *
 * <pre>{@code
 * NoiseField field = new NoiseField(seed);
 * NoiseSource noise = field.tile(3, tile.x(), tile.y(), tile.width(), tile.height());
 * float[] start = noise.gaussian(3 * tile.height() * tile.width());  // draw 0
 * float[] step1 = noise.gaussian(3 * tile.height() * tile.width());  // draw 1
 * }</pre>
 *
 * @param seed any value; all of its 64 bits matter
 */
public record NoiseField(long seed) {
  /** A call of Philox gives this many values, which stand beside each other in a row. */
  private static final int GROUP = 4;

  private static final double TWO_PI = 2 * Math.PI;

  /**
   * The noise of a part of the plane.
   *
   * @param channels at least 1
   * @param x the absolute column of its first value; may be negative, as may {@code y}
   * @param width at least 1, as {@code height}
   */
  public TileNoise tile(int channels, int x, int y, int width, int height) {
    return new TileNoise(this, channels, x, y, width, height, 0);
  }

  /** All values of one draw: channels, rows, columns. */
  float[] values(int draw, int channels, int x, int y, int width, int height) {
    float[] values = new float[Math.multiplyExact(channels, Math.multiplyExact(width, height))];
    int[] words = new int[GROUP];
    float[] group = new float[GROUP];
    int at = 0;
    for (int channel = 0; channel < channels; channel++) {
      for (int row = y; row < y + height; row++) {
        for (int column = x; column < x + width; ) {
          words[0] = Math.floorDiv(column, GROUP);
          words[1] = row;
          words[2] = channel;
          words[3] = draw;
          Philox.permute(words, (int) seed, (int) (seed >>> 32));
          boxMuller(words[0], words[1], group, 0);
          boxMuller(words[2], words[3], group, 2);
          for (int i = Math.floorMod(column, GROUP); i < GROUP && column < x + width; i++) {
            values[at++] = group[i];
            column++;
          }
        }
      }
    }
    return values;
  }

  private static void boxMuller(int first, int second, float[] values, int at) {
    // Neither 0, of which there is no logarithm, nor 1.
    double uniform = (Integer.toUnsignedLong(first) + 0.5) * 0x1p-32;
    double radius = StrictMath.sqrt(-2 * StrictMath.log(uniform));
    double angle = TWO_PI * (Integer.toUnsignedLong(second) * 0x1p-32);
    values[at] = (float) (radius * StrictMath.cos(angle));
    values[at + 1] = (float) (radius * StrictMath.sin(angle));
  }
}
