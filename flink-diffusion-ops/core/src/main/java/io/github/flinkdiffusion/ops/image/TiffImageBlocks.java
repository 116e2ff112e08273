/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import javax.imageio.ImageReader;

/**
 * Unpacks strips and tiles that are small image files of their own: JPEG, WebP and fax, and those
 * that Zstandard packs. Whatever a block says, what comes out has the size that the file's header
 * tells.
 *
 * @param compression the tag's number
 * @param width of a block in pixels
 * @param samples of a pixel in a block
 * @param photometric the color kind of the file
 * @param jpegTables the tables that the file's JPEG blocks have in common; may be empty
 * @param faxOptions options of fax coding, as the file has them
 */
record TiffImageBlocks(
    int compression, int width, int samples, int photometric, byte[] jpegTables, int faxOptions) {
  /** Tags that Java's reader takes as short numbers only. */
  private static final Set<Integer> SHORTS =
      Set.of(Tiff.BITS, Tiff.COMPRESSION, Tiff.PHOTOMETRIC, Tiff.SAMPLES);

  private static final int T4_OPTIONS = 292;
  private static final int T6_OPTIONS = 293;

  static boolean supports(int compression) {
    return switch (compression) {
      case Tiff.FAX_HUFFMAN, Tiff.FAX_3, Tiff.FAX_4, Tiff.JPEG, Tiff.WEBP, Tiff.ZSTD -> true;
      default -> false;
    };
  }

  /** Whether samples are of 8 bits, and no predictor comes before. */
  static boolean isOfBytes(int compression) {
    return compression == Tiff.JPEG || compression == Tiff.WEBP;
  }

  /** Whether samples are of one bit, one a pixel. */
  static boolean isFax(int compression) {
    return compression == Tiff.FAX_HUFFMAN
        || compression == Tiff.FAX_3
        || compression == Tiff.FAX_4;
  }

  /**
   * @param size of the block in bytes
   * @param rows of it
   */
  byte[] unpacked(byte[] packed, int size, int rows) {
    return switch (compression) {
      case Tiff.JPEG -> jpeg(packed, rows);
      case Tiff.WEBP -> webp(packed, rows);
      case Tiff.ZSTD -> Zstandard.unpacked(packed, size);
      default -> fax(packed, rows);
    };
  }

  private void requireSize(int foundWidth, int foundHeight, int foundSamples, int rows) {
    if (foundWidth != width || foundHeight < rows || foundSamples != samples) {
      throw new ImageException(
          "Corrupt TIFF file: a block of %d x %d pixels in %d bands; %d x %d in %d are needed"
              .formatted(foundWidth, foundHeight, foundSamples, width, rows, samples));
    }
  }

  private byte[] jpeg(byte[] packed, int rows) {
    JpegSegments file = JpegSegments.read(withTables(packed));
    if (file.bits() != 8 || file.process() > 0xC2) {
      throw new ImageException(
          "A TIFF file with JPEG blocks of process %02X with %d bits; C0 to C2 with 8 bits are supported"
              .formatted(file.process(), file.bits()));
    }
    requireSize(file.width(), file.height(), file.components(), rows);
    java.awt.image.Raster found = JpegCodec.samples(file);
    byte[] block = new byte[width * rows * samples];
    int[] row = new int[width * samples];
    int[] color = new int[4];
    for (int y = 0; y < rows; y++) {
      found.getPixels(0, y, width, 1, row);
      for (int x = 0; x < width; x++) {
        System.arraycopy(row, x * samples, color, 0, samples);
        if (photometric == Tiff.YCBCR) {
          JpegColors.YCBCR.convert(color);
        }
        for (int s = 0; s < samples; s++) {
          block[(y * width + x) * samples + s] = (byte) color[s];
        }
      }
    }
    return block;
  }

  /** A whole JPEG file: the tables between its beginning and the rest of the block. */
  private byte[] withTables(byte[] packed) {
    if (jpegTables.length < 4 || packed.length < 2) {
      return packed;
    }
    ByteArrayOutputStream file = new ByteArrayOutputStream(packed.length + jpegTables.length);
    // Without the tables' end, and without the block's beginning.
    file.write(jpegTables, 0, jpegTables.length - 2);
    file.write(packed, 2, packed.length - 2);
    return file.toByteArray();
  }

  private byte[] webp(byte[] packed, int rows) {
    int[] size = WebpCodec.size(packed);
    if (size[0] != width || size[1] < rows) {
      requireSize(size[0], size[1], samples, rows);
    }
    Raster image =
        new WebpCodec()
            .read(
                packed,
                ReadOptions.DEFAULT.withLimits(
                    ImageLimits.DEFAULT.withPixels(
                        Math.max(size[0], size[1]), (long) size[0] * size[1])));
    // Opacity is left out of a block in which all of it is full.
    boolean opaque = image.channels() == 3 && samples == 4;
    requireSize(image.width(), image.height(), opaque ? samples : image.channels(), rows);
    byte[] block = new byte[width * rows * samples];
    for (int i = 0; i < width * rows; i++) {
      for (int s = 0; s < samples; s++) {
        float value = s < image.channels() ? image.data()[s * image.height() * width + i] : 1;
        block[i * samples + s] = (byte) Math.round(value * 255);
      }
    }
    return block;
  }

  /** By Java's own reader of TIFF files, which gets a file of this one strip. */
  private byte[] fax(byte[] packed, int rows) {
    ImageReader reader = JavaCodecs.reader("tiff");
    try (BoundedImageStream in = new BoundedImageStream(faxFile(packed, rows), "TIFF")) {
      reader.setInput(in, true, true);
      BufferedImage image = reader.read(0);
      requireSize(image.getWidth(), image.getHeight(), 1, rows);
      int rowBytes = (width + 7) / 8;
      byte[] block = new byte[rows * rowBytes];
      int[] row = new int[width];
      for (int y = 0; y < rows; y++) {
        image.getRaster().getSamples(0, y, width, 1, 0, row);
        for (int x = 0; x < width; x++) {
          block[y * rowBytes + x / 8] |= (byte) (row[x] << 7 - x % 8);
        }
      }
      return block;
    } catch (ImageException e) {
      throw e;
    } catch (IOException | RuntimeException e) {
      throw new ImageException("Corrupt TIFF file: a block of fax data: " + e, e);
    } finally {
      reader.dispose();
    }
  }

  private byte[] faxFile(byte[] packed, int rows) {
    Map<Integer, Integer> tags = new TreeMap<>();
    tags.put(Tiff.WIDTH, width);
    tags.put(Tiff.HEIGHT, rows);
    tags.put(Tiff.BITS, 1);
    tags.put(Tiff.COMPRESSION, compression);
    // White runs are zeros, whatever color the file says that zeros are.
    tags.put(Tiff.PHOTOMETRIC, Tiff.BLACK_IS_ZERO);
    tags.put(Tiff.SAMPLES, 1);
    tags.put(Tiff.ROWS_PER_STRIP, rows);
    tags.put(Tiff.STRIP_BYTES, packed.length);
    if (compression != Tiff.FAX_HUFFMAN) {
      tags.put(compression == Tiff.FAX_3 ? T4_OPTIONS : T6_OPTIONS, faxOptions);
    }
    int begin = 8 + 2 + 12 * (tags.size() + 1) + 4;
    tags.put(Tiff.STRIP_OFFSETS, begin);
    ByteBuffer file = ByteBuffer.allocate(begin + packed.length).order(ByteOrder.LITTLE_ENDIAN);
    file.put((byte) 'I').put((byte) 'I').putShort((short) TiffDirectory.CLASSIC).putInt(8);
    file.putShort((short) tags.size());
    tags.forEach(
        (number, value) ->
            file.putShort((short) (int) number)
                .putShort((short) (SHORTS.contains(number) ? TiffType.SHORT : TiffType.LONG).code())
                .putInt(1)
                .putInt(value));
    file.putInt(0).put(packed);
    return file.array();
  }

  /**
   * Zstandard, by a library that most class paths have with Kafka's client and core alone needs not
   * load: whoever has no such file does without.
   */
  private static final class Zstandard {
    private static final Method DECOMPRESS = find();

    private static Method find() {
      try {
        return Class.forName("com.github.luben.zstd.Zstd")
            .getMethod(
                "decompressByteArray",
                byte[].class,
                int.class,
                int.class,
                byte[].class,
                int.class,
                int.class);
      } catch (ReflectiveOperationException | LinkageError e) {
        return null;
      }
    }

    static byte[] unpacked(byte[] packed, int size) {
      if (DECOMPRESS == null) {
        throw new ImageException(
            "A TIFF file with compression 50000 (Zstandard) needs com.github.luben:zstd-jni on the class path of this project");
      }
      byte[] block = new byte[size];
      try {
        long length = (long) DECOMPRESS.invoke(null, block, 0, size, packed, 0, packed.length);
        if (length != size) {
          throw new ImageException(
              "Corrupt TIFF file: a block of Zstandard gives %d instead of %d bytes"
                  .formatted(length, size));
        }
        return block;
      } catch (InvocationTargetException e) {
        throw new ImageException(
            "Corrupt TIFF file: a block of Zstandard cannot be unpacked: " + e.getCause(), e);
      } catch (IllegalAccessException e) {
        throw new IllegalStateException(e);
      }
    }
  }
}
