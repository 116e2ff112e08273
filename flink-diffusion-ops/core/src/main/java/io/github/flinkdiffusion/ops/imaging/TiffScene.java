package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.DecodedSize;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.NoDataMask;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.TiffReader;
import io.github.flinkdiffusion.ops.image.Window;
import java.nio.file.Path;
import java.util.Optional;

/** A picture in a TIFF file. */
final class TiffScene implements Scene {
  private final TiffReader reader;

  private TiffScene(TiffReader reader) {
    this.reader = reader;
  }

  static Scene open(Path file, ReadOptions options, long maxPixels) {
    TiffReader reader = TiffReader.open(file, options);
    if ((long) reader.width() * reader.height() > maxPixels) {
      reader.close();
      throw new ImageException(
          "The picture is %d x %d pixels; at most %d in all are accepted"
              .formatted(reader.width(), reader.height(), maxPixels));
    }
    return new TiffScene(reader);
  }

  /** Unpacked blocks of the file: its windows are the parts' memory. */
  static DecodedSize size(Path file, ReadOptions options) {
    try (TiffReader reader = TiffReader.open(file, options)) {
      return new DecodedSize(
          "%d x %d pixels".formatted(reader.width(), reader.height()),
          reader.width(),
          reader.height(),
          (long) reader.width() * reader.height(),
          (long) ((double) reader.width() * reader.height() * reader.channels() * Float.BYTES),
          reader.heapBytes(),
          reader.heapBytes());
    }
  }

  @Override
  public int width() {
    return reader.width();
  }

  @Override
  public int height() {
    return reader.height();
  }

  @Override
  public int channels() {
    return reader.channels();
  }

  @Override
  public PixelFormat format() {
    return reader.format();
  }

  @Override
  public ImageMetadata metadata() {
    return reader.metadata();
  }

  @Override
  public String mediaType() {
    return "image/tiff";
  }

  @Override
  public long heapBytes() {
    long whole = (long) width() * height() * channels() * Float.BYTES;
    return Math.min(whole, reader.heapBytes());
  }

  @Override
  public synchronized Raster read(Window window) {
    return reader.read(window);
  }

  @Override
  public boolean mayLackData() {
    return reader.mayLackData();
  }

  @Override
  public synchronized Optional<NoDataMask> noData(Window window) {
    return reader.noData(window);
  }

  @Override
  public synchronized void close() {
    reader.close();
  }
}
