/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.apache.flink.annotation.Internal;

/** Image files of every kind; {@link ImageKind} tells which one a file is of. */
@Internal
public final class Images {
  private static final Map<ImageKind, ImageFormat> FORMATS = new EnumMap<>(ImageKind.class);

  static {
    for (ImageFormat format :
        List.of(
            new PngCodec(),
            new JpegCodec(),
            new TiffCodec(),
            new WebpCodec(),
            new GifCodec(),
            new BmpCodec(),
            new DicomCodec(),
            new NiftiCodec())) {
      FORMATS.put(format.kind(), format);
    }
  }

  static final String WRITABLE =
      "image/png, image/jpeg, image/tiff, application/dicom and application/x-nifti";

  private Images() {}

  /**
   * Reads a file.
   *
   * @throws ImageException if it is of no known kind, damaged, larger than the limits, or holds
   *     what the options refuse
   */
  public static Raster read(byte[] file, ReadOptions options) {
    return FORMATS.get(kind(file, file.length)).read(file, options);
  }

  /**
   * Reads a file from where it is: of one that holds many images, such as frames, only the one
   * asked for is in memory.
   *
   * @throws ImageException as {@link #read(byte[], ReadOptions)}, and when the file system fails
   */
  public static Raster read(Path file, ReadOptions options) {
    try (SeekableByteChannel channel = Files.newByteChannel(file)) {
      ImageKind kind = kind(Channels.head(channel), channel.size());
      return FORMATS.get(kind).read(channel, options);
    } catch (IOException e) {
      throw new ImageException("Cannot read the image file " + file + ": " + e, e);
    }
  }

  /**
   * A compressed NIfTI file without its compression; empty for all other files.
   *
   * @param folder for it; whoever asks deletes it
   * @throws ImageException if it is damaged, or the file system fails
   */
  public static Optional<Path> unpacked(Path file, Path folder) {
    return NiftiCodec.unpacked(file, folder);
  }

  private static ImageKind kind(byte[] head, long bytes) {
    return ImageKind.of(head)
        .orElseThrow(
            () ->
                new ImageException(
                    ImageKind.notRead(head)
                        .map(
                            name ->
                                "%s cannot be read; convert it to one of %s"
                                    .formatted(name, readable()))
                        .orElseGet(
                            () ->
                                "A file of %d bytes that is none of %s"
                                    .formatted(bytes, readable()))));
  }

  /** The media type of a file, such as {@code image/png}; empty if it is of no known kind. */
  public static Optional<String> mediaType(byte[] file) {
    return ImageKind.of(file).map(ImageKind::mediaType);
  }

  /**
   * Writes a picture, with as much of its metadata as the kind of file holds.
   *
   * @param mediaType such as {@code image/png}
   * @throws ImageException if no such files are written, or they cannot hold the picture
   */
  public static byte[] write(Raster picture, String mediaType) {
    return FORMATS.values().stream()
        .filter(format -> format.kind().mediaType().equals(mediaType))
        .findFirst()
        .orElseThrow(
            () ->
                new ImageException(
                    "Unknown type of image '%s'; known are %s".formatted(mediaType, readable())))
        .write(picture);
  }

  private static String readable() {
    return Arrays.stream(ImageKind.values())
        .map(ImageKind::mediaType)
        .collect(Collectors.joining(", "));
  }
}
