/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.DecodedSize;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.ImageKind;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.NoDataMask;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.Resolution;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.image.ValueRange;
import io.github.flinkdiffusion.ops.image.Window;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * A picture that is worked on, read part by part: a TIFF file's parts come from the file, so its
 * size does not matter; all others are in memory.
 *
 * <p>Any thread may read, one at a time does.
 */
@Internal
public interface Scene extends AutoCloseable {

  int width();

  int height();

  int channels();

  PixelFormat format();

  /** Of the whole picture. */
  ImageMetadata metadata();

  /** The media type of its file. */
  String mediaType();

  /** Memory that it takes as long as it is open, in bytes, about. */
  long heapBytes();

  /** Memory that it and the reading of its parts take at most while it is open, in bytes. */
  default long openBytes() {
    return heapBytes();
  }

  /**
   * A part of it.
   *
   * @throws ImageException when the file is damaged there, or holds what the options refuse
   */
  Raster read(Window window);

  /** Whether there may be samples that hold no data: its file has a number or a mask for them. */
  boolean mayLackData();

  /** Which samples of a part hold no data, as {@link #read} has it; empty where all do. */
  Optional<NoDataMask> noData(Window window);

  @Override
  void close();

  /** The same picture, in which other numbers are black and white. */
  default Scene over(ValueRange range) {
    return range.equals(format().range()) ? this : new RangedScene(this, range);
  }

  /**
   * The same picture, as one whose caller does not say what is black and white. Floats that are no
   * shares of 1 are refused when they are read.
   */
  default Scene asTheFileSays() {
    return format().type() == SampleType.FLOAT32 && format().range().equals(UnrangedScene.SHARES)
        ? new UnrangedScene(this)
        : this;
  }

  /** Whether a file is of a kind whose parts are read from the file; its first bytes suffice. */
  static boolean isReadByParts(byte[] file) {
    return ImageKind.of(file).filter(ImageKind::isReadByParts).isPresent();
  }

  /** As {@link #isReadByParts(byte[])}, of a file that is open; its first bytes are read. */
  static boolean isReadByParts(SeekableByteChannel file) throws IOException {
    ByteBuffer head = ByteBuffer.allocate((int) Math.min(ImageKind.HEAD_BYTES, file.size()));
    int count = 0;
    // In short pieces: that is what is kept of a file that is far away.
    while (head.hasRemaining() && count >= 0) {
      head.limit(Math.min(head.capacity(), head.position() + 512));
      file.position(head.position());
      count = file.read(head);
      head.limit(head.capacity());
    }
    return isReadByParts(head.array());
  }

  /** One that is in memory as a whole. */
  static Scene of(Raster picture, String mediaType) {
    return new WholeScene(picture, mediaType);
  }

  /**
   * Reads an image file that is in memory. What it says of its size is checked before memory is
   * spent on it.
   *
   * @throws ImageException if it is damaged, of no known kind, or larger than the limits
   */
  static Scene of(byte[] file, ReadOptions options) {
    return new WholeScene(
        Images.read(file, options), Images.mediaType(file).orElse("application/octet-stream"));
  }

  /**
   * Opens an image file.
   *
   * @param maxPixels of a TIFF file; the limits among the options are those of files of other
   *     kinds, and of the parts that are read
   * @throws ImageException if it is damaged, of no known kind, or larger than the limits
   */
  static Scene open(Path file, ReadOptions options, long maxPixels) {
    return open(file, options, Selection.ALL, maxPixels);
  }

  /**
   * Opens a part of an image file.
   *
   * @param maxPixels of the part that is selected of a TIFF file
   * @throws ImageException as {@link #open(Path, ReadOptions, long)}, and if the part is not there
   */
  static Scene open(Path file, ReadOptions options, Selection selection, long maxPixels) {
    try {
      Optional<ImageKind> kind = ImageKind.of(head(file, ImageKind.HEAD_BYTES));
      if (kind.filter(ImageKind::isReadByParts).isPresent()) {
        return open(Files.newByteChannel(file), options, selection, maxPixels);
      }
      return selected(
          new WholeScene(
              Images.read(file, options),
              kind.map(ImageKind::mediaType).orElse("application/octet-stream")),
          selection);
    } catch (IOException e) {
      throw new ImageException("Cannot read the image file " + file + ": " + e, e);
    }
  }

  /**
   * Opens a part of a file whose parts are read from it, wherever it lies; nothing else of it is
   * read but its directories.
   *
   * @param file closed with the scene, and when this fails
   * @throws ImageException as {@link #open(Path, ReadOptions, Selection, long)}
   */
  static Scene open(
      SeekableByteChannel file, ReadOptions options, Selection selection, long maxPixels) {
    Scene scene = TiffScene.open(file, options, selection);
    if ((long) scene.width() * scene.height() > maxPixels) {
      scene.close();
      throw new ImageException(
          "The image is %d x %d pixels; at most %d in all are accepted (diffusion.image.max-pixels). Select a part of it, for example with the parameter window"
              .formatted(scene.width(), scene.height(), maxPixels));
    }
    return scene;
  }

  /** As {@link #of(byte[], ReadOptions)}, a part. */
  static Scene of(byte[] file, ReadOptions options, Selection selection) {
    return selected(of(file, options), selection);
  }

  private static Scene selected(Scene whole, Selection selection) {
    if (!selection.resolution().equals(Resolution.FULL)) {
      throw new ImageException(
          "A file of type %s has no overviews; level and pixelSize are accepted for TIFF files"
              .formatted(whole.mediaType()));
    }
    return selection.of(whole, whole.width(), whole.height());
  }

  /** What a file takes while it is opened, and as long as it is; from its header alone. */
  static DecodedSize size(Path file, ReadOptions options) {
    return size(file, options, Selection.ALL);
  }

  /** What a part of a file whose parts are read takes. */
  static DecodedSize size(Scene part) {
    return TiffScene.size(part);
  }

  /** As {@link #size(Path, ReadOptions)}, of a part. */
  static DecodedSize size(Path file, ReadOptions options, Selection selection) {
    try (InputStream in = Files.newInputStream(file)) {
      byte[] head = in.readNBytes(DecodedSize.HEAD_BYTES);
      if (isReadByParts(head)) {
        try (Scene part = open(Files.newByteChannel(file), options, selection, Long.MAX_VALUE)) {
          return TiffScene.size(part);
        }
      }
      long length = Files.size(file);
      Optional<ImageKind> kind = ImageKind.of(head);
      if (kind.filter(ImageKind.DICOM::equals).isPresent()) {
        return DecodedSize.ofDicom(file, options.limits());
      }
      DecodedSize size = DecodedSize.of(head, length, options.limits());
      if (kind.filter(ImageKind.NIFTI::equals).isPresent()) {
        return size; // Only a slice is read of it.
      }
      return new DecodedSize(
          size.extent(),
          size.width(),
          size.height(),
          size.pixels(),
          size.wholeBytes(),
          size.rasterBytes(),
          size.peakBytes() > Long.MAX_VALUE - length ? Long.MAX_VALUE : size.peakBytes() + length);
    } catch (IOException e) {
      throw new ImageException("Cannot read the image file " + file + ": " + e, e);
    }
  }

  /**
   * A compressed NIfTI file without its compression, so that its slices can be read in any order;
   * empty for all other files.
   *
   * @param folder for it; whoever asks deletes it
   * @throws ImageException if it is damaged, or the file system fails
   */
  static Optional<Path> unpacked(Path file, Path folder) {
    return Images.unpacked(file, folder);
  }

  private static byte[] head(Path file, int bytes) throws IOException {
    try (InputStream in = Files.newInputStream(file)) {
      return in.readNBytes(bytes);
    }
  }
}
