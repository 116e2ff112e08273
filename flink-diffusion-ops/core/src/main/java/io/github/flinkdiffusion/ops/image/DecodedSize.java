/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * Heap memory that an image file takes while it is read, known from its first bytes: for each
 * sample the 4 bytes of a {@link Raster} and, beside them, the samples as Java's decoder or the
 * file has them. A file of 130 kB may hold 400 MB of one color.
 *
 * @param extent of the image, as an error names it: "640 x 480 pixels"; of the file where its first
 *     bytes do not say
 * @param width 0 where the file's first bytes do not say
 * @param height 0 where the file's first bytes do not say
 * @param pixels at most
 * @param wholeBytes of the image as one raster
 * @param rasterBytes of the image once it is open: less than that where it is read by parts
 * @param peakBytes while it is read
 */
@Internal
public record DecodedSize(
    String extent,
    long width,
    long height,
    long pixels,
    long wholeBytes,
    long rasterBytes,
    long peakBytes) {
  /** First bytes of a file that suffice, but for a JPEG file whose profile is larger. */
  public static final int HEAD_BYTES = 1 << 20;

  /** Most bytes that a file without compression becomes for each of its own: 8 bits to floats. */
  private static final int UNCOMPRESSED_GROWTH = Float.BYTES + 1;

  /** Of a NIfTI value beside the raster: as it is read, and sorted for its percentiles. */
  private static final int NIFTI_BYTES = 2 * Double.BYTES;

  /** Of a DICOM sample beside the raster: as it stands in the file, and as a decoder holds it. */
  private static final int DICOM_BYTES = 12;

  /**
   * What a file takes, besides the file itself.
   *
   * @param head the file's first bytes, at least {@link #HEAD_BYTES} where it has as many
   * @param fileBytes of the whole file
   * @param limits for a file that does not say how large it is within its first bytes
   * @return an upper bound for PNG and JPEG files, DICOM frames and NIfTI slices; for other kinds,
   *     which are read as they stand in the file, what so many bytes can become. Whether the file
   *     is a good one is for its reader to say
   */
  public static DecodedSize of(byte[] head, long fileBytes, ImageLimits limits) {
    try {
      Optional<ImageKind> kind = ImageKind.of(head);
      if (kind.isPresent()) {
        switch (kind.get()) {
          case WEBP -> {
            int[] size = WebpCodec.size(head);
            return bytes(size[0], size[1], 4, Float.BYTES);
          }
          case GIF -> {
            int[] size = GifCodec.size(head);
            return bytes(size[0], size[1], 4, Float.BYTES);
          }
          case BMP -> {
            long[] size = BmpCodec.size(head);
            return bytes(Math.max(0, size[0]), size[1], 4, Float.BYTES);
          }
          case PNG -> {
            return png(ByteBuffer.wrap(head));
          }
          case JPEG -> {
            return jpeg(ByteBuffer.wrap(head), limits);
          }
          case NIFTI -> {
            return nifti(head);
          }
          case DICOM -> {
            Optional<DecodedSize> frame = dicom(head, fileBytes, limits);
            if (frame.isPresent()) {
              return frame.get();
            }
          }
          case TIFF -> {}
        }
      }
    } catch (IndexOutOfBoundsException | IOException | ImageException e) {
      // Truncated: its reader says so, before it allocates anything.
    }
    long bytes = Math.min(fileBytes, Long.MAX_VALUE / UNCOMPRESSED_GROWTH) * UNCOMPRESSED_GROWTH;
    return new DecodedSize(
        "a file of %d bytes".formatted(fileBytes), 0, 0, fileBytes, bytes, bytes, bytes);
  }

  /**
   * What a frame of a DICOM file takes: the header of a file of many frames may be longer than
   * {@link #HEAD_BYTES}. Frames are read one at a time, so the file's length does not count.
   */
  public static DecodedSize ofDicom(Path file, ImageLimits limits) {
    try (SeekableByteChannel channel = Files.newByteChannel(file)) {
      return ofDicom(new DicomSource(channel), HEAD_BYTES);
    } catch (ImageException e) {
      return mostOfDicom(limits);
    } catch (IOException e) {
      throw new ImageException("Cannot read the image file " + file + ": " + e, e);
    }
  }

  private static DecodedSize png(ByteBuffer head) {
    long width = Integer.toUnsignedLong(head.getInt(16));
    long height = Integer.toUnsignedLong(head.getInt(20));
    int bits = head.get(24);
    int channels =
        switch (head.get(25)) {
          case 0 -> 1;
          case 4 -> 2;
          case 2 -> 3;
          default -> 4; // RGBA, and a palette with transparent colors
        };
    if (channels % 2 == 1 && hasBlock(head, "tRNS")) {
      channels++;
    }
    int beside = hasBlock(head, "eXIf") ? Float.BYTES : bits > 8 ? Short.BYTES : Byte.BYTES;
    return bytes(width, height, channels, beside);
  }

  /** Whether there is such a block before the pixels, where it may be. */
  private static boolean hasBlock(ByteBuffer head, String type) {
    int at = 8;
    while (at + 12 <= head.capacity()) {
      byte[] name = new byte[4];
      head.get(at + 4, name);
      String found = new String(name, StandardCharsets.ISO_8859_1);
      long length = head.getInt(at) & 0xFFFFFFFFL;
      if (found.equals(type)) {
        return true;
      }
      // EXIF data may come after the pixels, too.
      if (found.equals("IDAT") && !type.equals("eXIf") || length > head.capacity()) {
        return false;
      }
      at += 12 + (int) length;
    }
    return false;
  }

  private static DecodedSize jpeg(ByteBuffer head, ImageLimits limits) {
    int at = 2;
    // An image that EXIF data turn stands in memory twice.
    int beside = Byte.BYTES;
    while (at + 9 < head.capacity()) {
      int marker = head.get(at + 1) & 0xFF;
      if ((head.get(at) & 0xFF) != 0xFF || marker == 0xFF || marker == 0) {
        at++;
      } else if (marker >= 0xC0 && marker <= 0xC2) {
        int channels = head.get(at + 9) & 0xFF;
        if (head.get(at + 4) != 8) {
          beside = Integer.BYTES;
        }
        return bytes(
            head.getShort(at + 7) & 0xFFFF, head.getShort(at + 5) & 0xFFFF, channels, beside);
      } else {
        if (marker == 0xE1) {
          beside = Float.BYTES;
        }
        at += 2 + (head.getShort(at + 2) & 0xFFFF);
      }
    }
    DecodedSize most = bytes(limits.maxPixels(), 1, 3, Float.BYTES);
    String extent = "a JPEG file that may have %d pixels".formatted(limits.maxPixels());
    return new DecodedSize(
        extent, 0, 0, most.pixels(), most.wholeBytes(), most.rasterBytes(), most.peakBytes());
  }

  /** Frames are packed in many ways; what the header says of them is believed, and checked. */
  private static Optional<DecodedSize> dicom(byte[] head, long fileBytes, ImageLimits limits) {
    try {
      return Optional.of(ofDicom(DicomSource.of(head), limits.maxBytes() / 4));
    } catch (ImageException e) {
      // Its reader says what is wrong, unless only the first bytes are known here.
      return head.length < fileBytes ? Optional.of(mostOfDicom(limits)) : Optional.empty();
    }
  }

  /**
   * @param most bytes that elements may be inflated to, to look at them
   */
  private static DecodedSize ofDicom(DicomSource source, long most) {
    DicomFile file = DicomFile.open(source, most);
    DicomLayout layout = file.layout();
    int channels = layout.photometric().startsWith("MONOCHROME") ? 1 : 3;
    DecodedSize frame = bytes(layout.columns(), layout.rows(), channels, DICOM_BYTES);
    return frame.withPeak(frame.peakBytes() + file.inflatedBytes());
  }

  private DecodedSize withPeak(long bytes) {
    return new DecodedSize(extent, width, height, pixels, wholeBytes, rasterBytes, bytes);
  }

  private static DecodedSize mostOfDicom(ImageLimits limits) {
    DecodedSize most = bytes(limits.maxPixels(), 1, 3, DICOM_BYTES);
    String extent = "a DICOM file that may have %d pixels".formatted(limits.maxPixels());
    return new DecodedSize(
        extent, 0, 0, most.pixels(), most.wholeBytes(), most.rasterBytes(), most.peakBytes());
  }

  /** As wide and high as an axial slice, as large as the largest of any plane. */
  private static DecodedSize nifti(byte[] head) throws IOException {
    NiftiHeader header = NiftiCodec.header(head);
    int[] stored = header.storedAxes();
    int[] sides = {header.dims()[stored[0]], header.dims()[stored[1]], header.dims()[stored[2]]};
    int channels = header.kind().channels;
    DecodedSize axial = bytes(sides[0], sides[1], channels, NIFTI_BYTES);
    Arrays.sort(sides);
    DecodedSize largest = bytes(sides[2], sides[1], channels, NIFTI_BYTES);
    return new DecodedSize(
        axial.extent(),
        axial.width(),
        axial.height(),
        axial.pixels(),
        largest.wholeBytes(),
        largest.rasterBytes(),
        largest.peakBytes());
  }

  /** Conversions of what is beyond a long give the largest: sides come from anybody. */
  private static DecodedSize bytes(long width, long height, int channels, int storedBytes) {
    double samples = (double) width * height * channels;
    return new DecodedSize(
        "%d x %d pixels".formatted(width, height),
        width,
        height,
        (long) ((double) width * height),
        (long) (samples * Float.BYTES),
        (long) (samples * Float.BYTES),
        (long) (samples * (Float.BYTES + storedBytes)));
  }
}
