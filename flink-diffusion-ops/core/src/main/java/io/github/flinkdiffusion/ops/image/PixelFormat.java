package io.github.flinkdiffusion.ops.image;

/**
 * What the numbers of a raster are in a file.
 *
 * @param bands what the channels are
 * @param type what values are rounded to when they are written
 * @param range the file's numbers for 0 and 1
 */
public record PixelFormat(Bands bands, SampleType type, ValueRange range) {

  /** The type's numbers over all that it can hold. */
  public static PixelFormat of(Bands bands, SampleType type) {
    return new PixelFormat(bands, type, type.fullRange());
  }

  /** A picture of 8 bits, 0 black and 255 white. */
  public static PixelFormat ofPicture(int channels) {
    return of(Bands.ofPicture(channels), SampleType.UINT8);
  }

  public PixelFormat withBands(Bands other) {
    return new PixelFormat(other, type, range);
  }

  public PixelFormat withRange(ValueRange other) {
    return new PixelFormat(bands, type, other);
  }

  /** The file's number for a raster's value: rounded, and cut to what the type holds. */
  double sample(float x) {
    return type.nearest(range.value(x));
  }
}
