package io.github.flinkdiffusion.ops.noise;

import java.nio.ByteBuffer;

/**
 * The noise of one tile of a {@link NoiseField}, draw after draw: the first call gives draw 0, the
 * next draw 1. Tiles that draw equally often agree where they overlap.
 */
public final class TileNoise implements NoiseSource {
  /** "NF" and the version of the layout; see {@link #saveState()}. */
  private static final int STATE_MAGIC = 0x4e460001;

  private static final int STATE_BYTES = Integer.BYTES + Long.BYTES + 6 * Integer.BYTES;

  private final NoiseField field;
  private final int channels;
  private final int x;
  private final int y;
  private final int width;
  private final int height;
  private int draw;

  TileNoise(NoiseField field, int channels, int x, int y, int width, int height, int draw) {
    if (channels < 1 || width < 1 || height < 1) {
      throw new IllegalArgumentException(
          "Noise for a tile of "
              + channels
              + " channels x "
              + height
              + " x "
              + width
              + "; each must be at least 1");
    }
    if ((long) x + width > Integer.MAX_VALUE || (long) y + height > Integer.MAX_VALUE) {
      throw new IllegalArgumentException(
          "Noise for a tile at (" + x + ", " + y + ") that reaches beyond 2^31");
    }
    this.field = field;
    this.channels = channels;
    this.x = x;
    this.y = y;
    this.width = width;
    this.height = height;
    this.draw = draw;
  }

  /**
   * The next draw: channels, rows, columns.
   *
   * @throws IllegalArgumentException if {@code n} is not the tile's size
   */
  @Override
  public float[] gaussian(int n) {
    if (n != (long) channels * height * width) {
      throw new IllegalArgumentException(
          "Drawing noise for a tile of "
              + channels
              + " x "
              + height
              + " x "
              + width
              + ": the number of values is "
              + n
              + ", it must be their product");
    }
    return field.values(draw++, channels, x, y, width, height);
  }

  /** Field, tile and position in 36 bytes, big-endian, behind a magic number. */
  public byte[] saveState() {
    return ByteBuffer.allocate(STATE_BYTES)
        .putInt(STATE_MAGIC)
        .putLong(field.seed())
        .putInt(channels)
        .putInt(x)
        .putInt(y)
        .putInt(width)
        .putInt(height)
        .putInt(draw)
        .array();
  }

  /**
   * A source that continues where the saved one stood.
   *
   * @throws IllegalArgumentException when the bytes are not what {@link #saveState()} wrote
   */
  public static TileNoise restore(byte[] saved) {
    ByteBuffer buffer = ByteBuffer.wrap(saved);
    if (saved.length != STATE_BYTES || buffer.getInt() != STATE_MAGIC) {
      throw new IllegalArgumentException(
          "Restoring a tile's noise: "
              + saved.length
              + " bytes that are no state of this version, which has "
              + STATE_BYTES);
    }
    NoiseField field = new NoiseField(buffer.getLong());
    return new TileNoise(
        field,
        buffer.getInt(),
        buffer.getInt(),
        buffer.getInt(),
        buffer.getInt(),
        buffer.getInt(),
        buffer.getInt());
  }
}
