package io.github.flinkdiffusion.ops.image;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import javax.imageio.ImageReader;
import javax.imageio.spi.ImageReaderSpi;

/**
 * Lossless WebP files, of animated ones the first frame; read by TwelveMonkeys. Color profiles are
 * not applied but go on into results, and an image that EXIF data turn is turned upright, as of
 * JPEG files.
 *
 * <p>Lossy files are refused. Compared with libwebp, TwelveMonkeys 3.14 gives other samples:
 * brightness differs by up to 14 levels where blocks meet, colors at edges by more, and one of
 * Pillow's files comes out black in part.
 */
final class WebpCodec implements ImageFormat {
  /** Of com.twelvemonkeys.imageio.plugins.webp, which the SQL jar has under another name. */
  private static final String READER = "WebPImageReaderSpi";

  private static final int HEADER_BYTES = 12;
  private static final int CHUNK_OVERHEAD = 8;

  /** Flags of an extended file for the chunks that are read here. */
  private static final int PROFILE_AND_EXIF = 0x20 | 0x08;

  /** What the chunks say. */
  private record Chunks(
      int width, int height, Optional<byte[]> profile, int orientation, byte[] forDecoder) {}

  @Override
  public ImageKind kind() {
    return ImageKind.WEBP;
  }

  @Override
  public Raster read(byte[] file, ReadOptions options) {
    if (options.page() > 0) {
      throw new ImageException("Page %d of a WebP file, which has one".formatted(options.page()));
    }
    Chunks chunks = chunks(file);
    options.limits().check(chunks.width, chunks.height, 4);
    BufferedImage image = decoded(chunks);
    Raster raster = JavaImages.toRaster(image);
    return raster
        .withMetadata(ImageMetadata.NONE.withProfile(chunks.profile, raster.channels()))
        .upright(chunks.orientation);
  }

  private static BufferedImage decoded(Chunks chunks) {
    ImageReader reader = reader();
    try (BoundedImageStream in = new BoundedImageStream(chunks.forDecoder, "WebP")) {
      reader.setInput(in, true, true);
      if (reader.getWidth(0) != chunks.width || reader.getHeight(0) != chunks.height) {
        throw new ImageException(
            "Damaged WebP file: it says that it is %d x %d pixels, and %d x %d"
                .formatted(chunks.width, chunks.height, reader.getWidth(0), reader.getHeight(0)));
      }
      return reader.read(0);
    } catch (ImageException e) {
      throw e;
    } catch (IOException | RuntimeException e) {
      // The reader answers nonsense with all kinds of exceptions.
      throw new ImageException("Damaged WebP file: " + e, e);
    } finally {
      reader.dispose();
    }
  }

  /** Whoever loads this class has the reader; what the process has registered is not asked. */
  private static ImageReader reader() {
    ClassLoader own = WebpCodec.class.getClassLoader();
    try {
      for (ImageReaderSpi found : ServiceLoader.load(ImageReaderSpi.class, own)) {
        if (found.getClass().getSimpleName().equals(READER)) {
          return found.createReaderInstance();
        }
      }
    } catch (IOException | ServiceConfigurationError e) {
      throw new ImageException("Cannot make a reader for WebP files: " + e, e);
    }
    throw new ImageException(
        "WebP files need com.twelvemonkeys.imageio:imageio-webp on the class path of this project");
  }

  /** Width and height by a file's first bytes; both 0 where these do not say it. */
  static int[] size(byte[] head) {
    ByteBuffer bytes = ByteBuffer.wrap(head).order(ByteOrder.LITTLE_ENDIAN);
    if (head.length < 30) {
      return new int[2];
    }
    return switch (name(head, HEADER_BYTES)) {
      case "VP8X" -> new int[] {1 + int24(head, 24), 1 + int24(head, 27)};
      case "VP8L" -> {
        int bits = bytes.getInt(21);
        yield new int[] {1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)};
      }
      case "VP8 " -> new int[] {bytes.getShort(26) & 0x3FFF, bytes.getShort(28) & 0x3FFF};
      default -> new int[2];
    };
  }

  private static int int24(byte[] bytes, int at) {
    return bytes[at] & 0xFF | (bytes[at + 1] & 0xFF) << 8 | (bytes[at + 2] & 0xFF) << 16;
  }

  private static String name(byte[] bytes, int at) {
    return new String(bytes, at, 4, StandardCharsets.ISO_8859_1);
  }

  /** A frame of an animation is chunks again, behind 16 bytes of its own. */
  private static boolean isLossyFrame(byte[] file, int at, int to) {
    if (!name(file, at).equals("ANMF")) {
      return false;
    }
    ByteBuffer bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    long part = at + CHUNK_OVERHEAD + 16L;
    while (part + CHUNK_OVERHEAD <= to) {
      if (name(file, (int) part).equals("VP8 ")) {
        return true;
      }
      long length = bytes.getInt((int) part + 4) & 0xFFFFFFFFL;
      part += CHUNK_OVERHEAD + length + (length & 1);
    }
    return false;
  }

  private static ImageException lossy() {
    return new ImageException(
        "A lossy WebP file is not read, since no decoder at hand gives the samples that libwebp does; lossless ones are. Convert it to PNG, for example with 'dwebp image.webp -o image.png'");
  }

  private static Chunks chunks(byte[] file) {
    ByteBuffer bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    int[] size = size(file);
    if (size[0] < 1 || size[1] < 1) {
      throw new ImageException(
          "Damaged WebP file: its %d bytes do not begin with an image".formatted(file.length));
    }
    ByteArrayOutputStream kept = new ByteArrayOutputStream(file.length);
    kept.write(file, 0, HEADER_BYTES);
    Optional<byte[]> profile = Optional.empty();
    OptionalInt orientation = OptionalInt.empty();
    Optional<String> xmp = Optional.empty();
    long end = Math.min(file.length, CHUNK_OVERHEAD + (bytes.getInt(4) & 0xFFFFFFFFL));
    int at = HEADER_BYTES;
    while (at + CHUNK_OVERHEAD <= end) {
      long length = bytes.getInt(at + 4) & 0xFFFFFFFFL;
      int from = at + CHUNK_OVERHEAD;
      if (length > file.length - from) {
        throw new ImageException(
            "Truncated WebP file: the chunk at byte %d has %d bytes, but the file ends at %d"
                .formatted(at, length, file.length));
      }
      int to = from + (int) length;
      switch (name(file, at)) {
        case "ICCP" -> profile = Optional.of(Arrays.copyOfRange(file, from, to));
        case "EXIF" -> {
          boolean marked = length > 6 && name(file, from).equals("Exif");
          orientation = Exif.orientation(file, marked ? from + 6 : from, to);
        }
        case "XMP " -> {
          xmp = Optional.of(new String(file, from, (int) length, StandardCharsets.UTF_8));
          kept.write(file, at, Math.min(file.length, to + (int) (length & 1)) - at);
        }
        case "VP8X" -> {
          if (length < 1) {
            throw new ImageException("Damaged WebP file: its header VP8X is empty");
          }
          byte[] chunk = Arrays.copyOfRange(file, at, to + (int) (length & 1));
          chunk[CHUNK_OVERHEAD] &= (byte) ~PROFILE_AND_EXIF;
          kept.writeBytes(chunk);
        }
        case "VP8 " -> throw lossy();
        default -> {
          if (isLossyFrame(file, at, to)) {
            throw lossy();
          }
          kept.write(file, at, Math.min(file.length, to + (int) (length & 1)) - at);
        }
      }
      at = to + (int) (length & 1);
    }
    byte[] forDecoder = kept.toByteArray();
    ByteBuffer.wrap(forDecoder)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putInt(4, forDecoder.length - CHUNK_OVERHEAD);
    return new Chunks(size[0], size[1], profile, Exif.upright(orientation, xmp), forDecoder);
  }
}
