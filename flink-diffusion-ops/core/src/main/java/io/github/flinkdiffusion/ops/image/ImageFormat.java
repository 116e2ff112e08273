package io.github.flinkdiffusion.ops.image;

/**
 * A kind of image file. Another kind is another implementation and a line in {@link Images}; no
 * other kind is touched.
 */
interface ImageFormat {

  /** Its media type, such as {@code image/png}. */
  String mediaType();

  /** Whether a file is of this kind, by its first bytes. The file may be empty. */
  boolean recognises(byte[] file);

  /**
   * Reads a file of this kind. What the file says of its size is checked against the limits before
   * memory is allocated for pixels.
   *
   * @throws ImageException for whatever is wrong with the file, and nothing else
   */
  Raster read(byte[] file, ReadOptions options);

  /**
   * Writes a picture with as much of its metadata as the kind can hold.
   *
   * @throws ImageException if a file of this kind can not hold the picture
   */
  default byte[] write(Raster picture) {
    throw new ImageException(
        "Files of type %s are read, not written; %s can be written"
            .formatted(mediaType(), Images.WRITABLE));
  }
}
