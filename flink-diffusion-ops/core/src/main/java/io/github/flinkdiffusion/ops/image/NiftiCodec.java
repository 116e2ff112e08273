package io.github.flinkdiffusion.ops.image;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.GZIPInputStream;

/**
 * Axial slices of NIfTI-1 volumes, plain or packed with gzip: {@link ReadOptions#page()} says
 * which, from the bottom. A packed volume is unpacked up to the slice and no further, and only the
 * slice is held.
 *
 * <p>The second axis, which runs from back to front in the usual orientation, points upwards. A
 * value is the stored one times the slope plus the intercept. Nothing of the header's descriptions
 * is kept, since they may name a patient.
 */
final class NiftiCodec implements ImageFormat {
  private static final int HEADER = 348;
  private static final int MAGIC_AT = 344;
  private static final int MILLIMETRES = 2;

  @Override
  public ImageKind kind() {
    return ImageKind.NIFTI;
  }

  /** Whether these are the first bytes of such a file. */
  static boolean hasMark(byte[] file) {
    try (InputStream in = unpacked(file)) {
      byte[] header = in.readNBytes(HEADER);
      return header.length == HEADER
          && header[MAGIC_AT] == 'n'
          && header[MAGIC_AT + 1] == '+'
          && header[MAGIC_AT + 2] == '1';
    } catch (IOException e) {
      return false;
    }
  }

  private static InputStream unpacked(byte[] file) throws IOException {
    boolean packed = file.length > 2 && (file[0] & 0xFF) == 0x1F && (file[1] & 0xFF) == 0x8B;
    InputStream plain = new ByteArrayInputStream(file);
    return packed ? new GZIPInputStream(plain, 16384) : plain;
  }

  @Override
  public Raster read(byte[] file, ReadOptions options) {
    try (InputStream in = unpacked(file)) {
      return slice(in, options);
    } catch (IOException e) {
      throw new ImageException("Damaged NIfTI file: " + e.getMessage(), e);
    }
  }

  private static Raster slice(InputStream in, ReadOptions options) throws IOException {
    ByteBuffer header = ByteBuffer.wrap(in.readNBytes(HEADER)).order(ByteOrder.LITTLE_ENDIAN);
    if (header.getInt(0) != HEADER) {
      header.order(ByteOrder.BIG_ENDIAN);
    }
    int axes = header.getShort(40);
    int width = header.getShort(42);
    int height = header.getShort(44);
    int slices = axes >= 3 ? header.getShort(46) : 1;
    int volumes = axes >= 4 ? header.getShort(48) : 1;
    if (axes < 2 || axes > 4 || volumes != 1 || width < 1 || height < 1 || slices < 1) {
      throw new ImageException(
          ("A NIfTI file of %d axes, %d x %d x %d values, %d volumes; one volume of 2 or 3 axes is"
                  + " supported")
              .formatted(axes, width, height, slices, volumes));
    }
    if (options.page() >= slices) {
      throw new ImageException(
          "Slice %d of a NIfTI file that has %d".formatted(options.page(), slices));
    }
    options.limits().check(width, height, 1);
    int kind = header.getShort(70);
    int bytes =
        switch (kind) {
          case 2, 256 -> 1;
          case 4, 512 -> 2;
          case 8, 16 -> 4;
          case 64 -> 8;
          default ->
              throw new ImageException(
                  ("A NIfTI file of data type %d; whole numbers of 8 and 16 bits (2, 4, 256, 512),"
                          + " signed ones of 32 (8), and floats of 32 and 64 (16, 64) are supported")
                      .formatted(kind));
        };
    double start = header.getFloat(108);
    if (!(start >= HEADER && start <= 1 << 24)) {
      throw new ImageException("Damaged NIfTI file: its values begin at byte %s".formatted(start));
    }
    int sliceBytes = Math.multiplyExact(Math.multiplyExact(width, height), bytes);
    in.skipNBytes((long) start - HEADER + (long) options.page() * sliceBytes);
    byte[] stored = in.readNBytes(sliceBytes);
    if (stored.length < sliceBytes) {
      throw new ImageException(
          "Truncated NIfTI file: slice %d has %d bytes of %d"
              .formatted(options.page(), stored.length, sliceBytes));
    }
    return picture(header, stored, width, height, kind, options);
  }

  private static Raster picture(
      ByteBuffer header, byte[] stored, int width, int height, int kind, ReadOptions options) {
    double declared = header.getFloat(112);
    // A slope of 0 says that values are not scaled.
    boolean scaled = Double.isFinite(declared) && declared != 0;
    double slope = scaled ? declared : 1;
    double intercept = scaled ? options.finite(header.getFloat(116), "NIfTI") : 0;
    SampleType type =
        slope != 1 || intercept != 0
            ? SampleType.FLOAT32
            : switch (kind) {
              case 2 -> SampleType.UINT8;
              case 4, 256 -> SampleType.INT16;
              case 512 -> SampleType.UINT16;
              default -> SampleType.FLOAT32;
            };
    ValueRange range = type.fullRange();
    ByteBuffer values = ByteBuffer.wrap(stored).order(header.order());
    float[] data = new float[width * height];
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        int i = (height - 1 - y) * width + x;
        double number =
            switch (kind) {
              case 2 -> values.get(i) & 0xFF;
              case 256 -> values.get(i);
              case 4 -> values.getShort(2 * i);
              case 512 -> values.getShort(2 * i) & 0xFFFF;
              case 8 -> values.getInt(4 * i);
              case 16 -> values.getFloat(4 * i);
              default -> values.getDouble(8 * i);
            };
        data[y * width + x] =
            (float) range.unit(options.finite(number * slope + intercept, "NIfTI"));
      }
    }
    Raster slice =
        new Raster(
            1, height, width, data, new PixelFormat(Bands.GRAY, type, range), ImageMetadata.NONE);
    double x = header.getFloat(80);
    double y = header.getFloat(84);
    boolean known = (header.get(123) & 7) == MILLIMETRES && x > 0 && y > 0;
    return known && Double.isFinite(x) && Double.isFinite(y)
        ? slice.withMetadata(ImageMetadata.NONE.withSpacing(new PixelSpacing(x, y)))
        : slice;
  }
}
