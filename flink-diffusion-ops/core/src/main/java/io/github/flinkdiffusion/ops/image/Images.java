package io.github.flinkdiffusion.ops.image;

import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * Image files of every kind. What kind a file is of is told by its bytes, never by a name that came
 * with it.
 */
public final class Images {
  /** All kinds, in the order in which they are asked. */
  private static final List<ImageFormat> FORMATS =
      List.of(new PngCodec(), new JpegCodec(), new TiffCodec(), new DicomCodec(), new NiftiCodec());

  static final String WRITABLE = "image/png, image/jpeg and image/tiff";

  private Images() {}

  /**
   * Reads a file.
   *
   * @throws ImageException if it is of no known kind, damaged, larger than the limits, or holds
   *     what the options refuse
   */
  public static Raster read(byte[] file, ReadOptions options) {
    return format(file)
        .orElseThrow(
            () ->
                new ImageException(
                    "A file of %d bytes that is none of %s".formatted(file.length, readable())))
        .read(file, options);
  }

  /** The media type of a file, such as {@code image/png}; empty if it is of no known kind. */
  public static Optional<String> mediaType(byte[] file) {
    return format(file).map(ImageFormat::mediaType);
  }

  /**
   * Writes a picture, with as much of its metadata as the kind of file holds.
   *
   * @param mediaType such as {@code image/png}
   * @throws ImageException if no such files are written, or they can not hold the picture
   */
  public static byte[] write(Raster picture, String mediaType) {
    return FORMATS.stream()
        .filter(format -> format.mediaType().equals(mediaType))
        .findFirst()
        .orElseThrow(
            () ->
                new ImageException(
                    "There is no kind of image '%s'; there are %s"
                        .formatted(mediaType, readable())))
        .write(picture);
  }

  private static Optional<ImageFormat> format(byte[] file) {
    return FORMATS.stream().filter(format -> format.recognises(file)).findFirst();
  }

  private static String readable() {
    return FORMATS.stream().map(ImageFormat::mediaType).collect(Collectors.joining(", "));
  }
}
