/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
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
 * WebP files, of animated ones the first frame. Color profiles are not applied but go on into
 * results, and an image that EXIF or XMP data turn is turned upright, as of JPEG files.
 *
 * <p>Lossless images are read by TwelveMonkeys, lossy ones by {@link Vp8Decoder}: TwelveMonkeys
 * 3.14 gives other samples than libwebp. Its brightness differs by up to 14 levels where blocks
 * meet, its colors at edges by more, and one of Pillow's files comes out black in part.
 */
final class WebpCodec implements ImageFormat {
  /** Of com.twelvemonkeys.imageio.plugins.webp, which the SQL jar has under another name. */
  private static final String READER = "WebPImageReaderSpi";

  private static final int HEADER_BYTES = 12;
  private static final int CHUNK_OVERHEAD = 8;
  private static final int FRAME_HEADER = 16;

  /** Flags of an extended file for the chunks that are read here. */
  private static final int PROFILE_AND_EXIF = 0x20 | 0x08;

  /** What the chunks say. */
  private record Chunks(
      int width,
      int height,
      Optional<byte[]> profile,
      int orientation,
      Optional<Lossy> lossy,
      byte[] forDecoder) {}

  /**
   * A lossy image: where its chunks' contents lie in the file.
   *
   * @param alpha of its opacity; empty for an image without
   */
  private record Lossy(Span frame, Optional<Span> alpha) {}

  private record Span(int begin, int end) {}

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
    Raster raster =
        chunks
            .lossy
            .map(lossy -> decoded(file, lossy, chunks.width, chunks.height))
            .orElseGet(
                () -> JavaImages.toRaster(decoded(chunks.forDecoder, chunks.width, chunks.height)));
    return raster
        .withMetadata(ImageMetadata.NONE.withProfile(chunks.profile, raster.channels()))
        .upright(chunks.orientation);
  }

  private static Raster decoded(byte[] file, Lossy lossy, int width, int height) {
    int[] said = size(file, lossy.frame);
    requireSize(width, height, said[0], said[1]);
    byte[] rgb = Vp8Colors.rgb(Vp8Decoder.decode(file, lossy.frame.begin, lossy.frame.end));
    Optional<byte[]> alpha =
        lossy.alpha.map(
            at ->
                WebpAlpha.decode(
                    file, at.begin, at.end, width, height, part -> greens(part, width, height)));
    int pixels = width * height;
    int channels = alpha.isPresent() ? 4 : 3;
    float[] data = new float[Math.multiplyExact(channels, pixels)];
    for (int i = 0; i < pixels; i++) {
      for (int c = 0; c < 3; c++) {
        data[c * pixels + i] = (rgb[3 * i + c] & 0xFF) / 255f;
      }
    }
    alpha.ifPresent(
        opacity -> {
          for (int i = 0; i < pixels; i++) {
            data[3 * pixels + i] = (opacity[i] & 0xFF) / 255f;
          }
        });
    return new Raster(channels, height, width, data);
  }

  private static byte[] greens(byte[] file, int width, int height) {
    BufferedImage image = decoded(file, width, height);
    byte[] greens = new byte[width * height];
    for (int i = 0; i < greens.length; i++) {
      greens[i] = (byte) (image.getRGB(i % width, i / width) >> 8);
    }
    return greens;
  }

  private static void requireSize(int width, int height, int otherWidth, int otherHeight) {
    if (otherWidth != width || otherHeight != height) {
      throw new ImageException(
          "Corrupt WebP file: it says that it is %d x %d pixels, and %d x %d"
              .formatted(width, height, otherWidth, otherHeight));
    }
  }

  private static BufferedImage decoded(byte[] file, int width, int height) {
    ImageReader reader = reader();
    try (BoundedImageStream in = new BoundedImageStream(file, "WebP")) {
      reader.setInput(in, true, true);
      requireSize(width, height, reader.getWidth(0), reader.getHeight(0));
      return reader.read(0);
    } catch (ImageException e) {
      throw e;
    } catch (IOException | RuntimeException e) {
      // The reader answers nonsense with all kinds of exceptions.
      throw new ImageException("Corrupt WebP file: " + e, e);
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

  /** Width and height of a lossy image. */
  private static int[] size(byte[] file, Span frame) {
    if (frame.end - frame.begin < 10) {
      throw new ImageException(
          "Truncated WebP file: its lossy image has %d bytes".formatted(frame.end - frame.begin));
    }
    ByteBuffer bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    return new int[] {
      bytes.getShort(frame.begin + 6) & 0x3FFF, bytes.getShort(frame.begin + 8) & 0x3FFF
    };
  }

  /**
   * The lossy image of an animation's frame, which is chunks again, behind 16 bytes of its own;
   * empty if its image is lossless.
   *
   * @param at of the frame's chunk
   * @param to after its content
   */
  private static Optional<Lossy> lossyFrame(byte[] file, int at, int to, int[] canvas) {
    ByteBuffer bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    Optional<Span> alpha = Optional.empty();
    long part = at + CHUNK_OVERHEAD + (long) FRAME_HEADER;
    while (part + CHUNK_OVERHEAD <= to) {
      int content = (int) part + CHUNK_OVERHEAD;
      long length = bytes.getInt((int) part + 4) & 0xFFFFFFFFL;
      if (length > to - content) {
        throw new ImageException(
            "Truncated WebP file: a part of a frame has %d bytes, and the frame %d"
                .formatted(length, to - content));
      }
      Span span = new Span(content, content + (int) length);
      switch (name(file, (int) part)) {
        case "ALPH" -> alpha = Optional.of(span);
        case "VP8 " -> {
          int[] size = size(file, span);
          if (size[0] != canvas[0] || size[1] != canvas[1]) {
            throw new ImageException(
                "An animated WebP file whose first frame, %d x %d pixels, covers a part of the image of %d x %d; frames of the whole image are supported"
                    .formatted(size[0], size[1], canvas[0], canvas[1]));
          }
          return Optional.of(new Lossy(span, alpha));
        }
        default -> {}
      }
      part = content + length + (length & 1);
    }
    return Optional.empty();
  }

  private static Chunks chunks(byte[] file) {
    ByteBuffer bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    int[] size = size(file);
    if (size[0] < 1 || size[1] < 1) {
      throw new ImageException(
          "Corrupt WebP file: its %d bytes do not begin with an image".formatted(file.length));
    }
    ByteArrayOutputStream kept = new ByteArrayOutputStream(file.length);
    kept.write(file, 0, HEADER_BYTES);
    Optional<byte[]> profile = Optional.empty();
    OptionalInt orientation = OptionalInt.empty();
    Optional<String> xmp = Optional.empty();
    Optional<Span> alpha = Optional.empty();
    Optional<Lossy> lossy = Optional.empty();
    boolean framed = false;
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
            throw new ImageException("Corrupt WebP file: its header VP8X is empty");
          }
          byte[] chunk = Arrays.copyOfRange(file, at, to + (int) (length & 1));
          chunk[CHUNK_OVERHEAD] &= (byte) ~PROFILE_AND_EXIF;
          kept.writeBytes(chunk);
        }
        case "ALPH" -> alpha = Optional.of(new Span(from, to));
        case "VP8 " -> lossy = Optional.of(new Lossy(new Span(from, to), alpha));
        default -> {
          if (name(file, at).equals("ANMF") && !framed) {
            framed = true;
            lossy = lossyFrame(file, at, to, size);
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
    return new Chunks(size[0], size[1], profile, Exif.upright(orientation, xmp), lossy, forDecoder);
  }
}
