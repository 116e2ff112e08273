/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.awt.Transparency;
import java.awt.color.ColorSpace;
import java.awt.image.BufferedImage;
import java.awt.image.ComponentColorModel;
import java.awt.image.DataBuffer;
import java.awt.image.DataBufferByte;
import java.awt.image.DataBufferUShort;
import java.awt.image.WritableRaster;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import javax.imageio.IIOImage;
import javax.imageio.ImageReader;
import javax.imageio.ImageWriter;
import javax.imageio.stream.MemoryCacheImageInputStream;
import javax.imageio.stream.MemoryCacheImageOutputStream;
import org.apache.flink.annotation.Internal;

/**
 * PNG files of 8 and 16 bits per sample; fewer bits and palettes are read as 8.
 *
 * <p>Sample values are taken as they stand in the file: color profiles and gamma are not applied,
 * which is what diffusion models are trained with. Of the metadata, texts, color profiles and the
 * pixels' spacing are held, the latter rounded to whole pixels a metre.
 */
@Internal
public final class PngCodec implements ImageFormat {

  PngCodec() {}

  @Override
  public ImageKind kind() {
    return ImageKind.PNG;
  }

  @Override
  public Raster read(byte[] file, ReadOptions options) {
    if (options.page() > 0) {
      throw new ImageException("Page %d of a PNG file, which has one".formatted(options.page()));
    }
    return decode(file, options.limits());
  }

  @Override
  public byte[] write(Raster picture) {
    return encode(picture);
  }

  /**
   * Writes a picture of 1 to 4 channels in 8 or 16 bits, as its format says. In 8 bits over 0..255,
   * a value v becomes {@code round(v * 255)}, halves to even, as diffusers does; values outside of
   * the type's range are cut. The same picture gives the same bytes on the same Java.
   *
   * @throws ImageException if it has other than 1 to 4 channels, is not of 8 or 16 unsigned bits,
   *     has a value that is not a number, or a text whose name a PNG file cannot hold
   */
  public static byte[] encode(Raster raster) {
    Raster picture = withOpacity(raster);
    BufferedImage image = toBufferedImage(picture);
    ByteArrayOutputStream bytes =
        new ByteArrayOutputStream(picture.height() * picture.width() + 1024);
    ImageWriter writer = JavaCodecs.writer("png");
    try (MemoryCacheImageOutputStream out = new MemoryCacheImageOutputStream(bytes)) {
      writer.setOutput(out);
      writer.write(new IIOImage(image, null, null));
    } catch (IOException e) {
      throw new ImageException("Cannot write " + picture + " as PNG: " + e, e);
    } finally {
      writer.dispose();
    }
    return PngMetadata.insert(bytes.toByteArray(), picture.metadata(), picture.channels());
  }

  /** Reads a file within {@link ImageLimits#DEFAULT}. */
  public static Raster decode(byte[] png) {
    return decode(png, ImageLimits.DEFAULT);
  }

  /**
   * Reads a file: gray, gray and alpha, RGB or RGBA as they are, with opacity if one of the colors
   * is clear, a palette as RGB, or as RGBA if some of its colors are transparent. Fewer bits than 8
   * are stretched over 8. An image that EXIF or XMP data turn is turned upright. Values are
   * multiples of 1/255, or of 1/65535 in files of 16 bits.
   *
   * @throws ImageException if it is not a whole PNG file, or is larger than the limits
   */
  public static Raster decode(byte[] png, ImageLimits limits) {
    PngHeader header = PngHeader.read(png);
    boolean palette = header.colorType() == PngHeader.ColorType.PALETTE;
    List<PngHeader.Block> blocks = PngHeader.blocks(png);
    int[] clear = clear(blocks, header);
    int channels = header.colorType().samples() + (clear == null ? 0 : 1);
    limits.check(header.width(), header.height(), palette ? 4 : channels);
    ImageMetadata said = PngMetadata.read(blocks);
    int orientation = PngMetadata.orientation(blocks, said.texts());
    ImageMetadata metadata = orientation == 1 ? said : PngMetadata.upright(said);
    Raster pixels = pixels(forDecoder(png, blocks, palette), header, clear);
    return pixels
        .withMetadata(metadata.withProfile(PngMetadata.profile(blocks), pixels.channels()))
        .upright(orientation);
  }

  private static Raster pixels(byte[] png, PngHeader header, int[] clear) {
    ImageReader reader = JavaCodecs.reader("png");
    try (MemoryCacheImageInputStream in =
        new MemoryCacheImageInputStream(new ByteArrayInputStream(png))) {
      reader.setInput(in, true, true);
      BufferedImage image = reader.read(0);
      return header.colorType() == PngHeader.ColorType.PALETTE
          ? JavaImages.toRaster(image)
          : fromSamples(image, header, clear);
    } catch (IOException | RuntimeException e) {
      // The reader answers nonsense with all kinds of exceptions.
      throw new ImageException("Corrupt PNG file: " + e, e);
    } finally {
      reader.dispose();
    }
  }

  /**
   * The file without all that says something besides the pixels. Of a color that is clear, Java's
   * reader would make samples of another depth.
   */
  private static byte[] forDecoder(
      byte[] png, List<PngHeader.Block> blocks, boolean withTransparency) {
    ByteArrayOutputStream plain = new ByteArrayOutputStream(png.length);
    int at = 8;
    plain.write(png, 0, at);
    for (PngHeader.Block block : blocks) {
      int length = block.data().capacity() + 12;
      boolean pixels =
          Character.isUpperCase(block.type().charAt(0))
              || withTransparency && block.type().equals("tRNS");
      if (pixels) {
        plain.write(png, at, length);
      }
      at += length;
    }
    return plain.toByteArray();
  }

  /** The samples of the one color that is clear; null if the file names none. */
  private static int[] clear(List<PngHeader.Block> blocks, PngHeader header) {
    int samples = header.colorType().samples();
    boolean opaque =
        header.colorType() == PngHeader.ColorType.GRAY
            || header.colorType() == PngHeader.ColorType.RGB;
    Optional<PngHeader.Block> found =
        blocks.stream().filter(block -> block.type().equals("tRNS")).findFirst();
    if (!opaque || found.isEmpty()) {
      return null;
    }
    ByteBuffer data = found.get().data();
    if (data.capacity() < 2 * samples) {
      throw new ImageException(
          "Corrupt PNG file: the color that is clear has %d bytes; %d are needed"
              .formatted(data.capacity(), 2 * samples));
    }
    int[] clear = new int[samples];
    for (int c = 0; c < samples; c++) {
      // Only as many bits count as a sample has.
      clear[c] = data.getShort(2 * c) & (1 << header.bitsPerSample()) - 1;
    }
    return clear;
  }

  /**
   * @param clear the samples of pixels that are clear; null if there are none
   */
  private static Raster fromSamples(BufferedImage image, PngHeader header, int[] clear) {
    int channels = header.colorType().samples();
    int width = image.getWidth();
    int height = image.getHeight();
    float white = (1 << header.bitsPerSample()) - 1;
    int plane = Math.multiplyExact(width, height);
    float[] data = new float[Math.multiplyExact(channels + (clear == null ? 0 : 1), plane)];
    if (clear != null) {
      Arrays.fill(data, channels * plane, data.length, 1);
      setClear(image, clear, data, channels * plane);
    }
    int[] row = new int[width];
    // The image's own raster: getRGB would convert between color spaces.
    for (int c = 0; c < channels; c++) {
      for (int y = 0; y < height; y++) {
        image.getRaster().getSamples(0, y, width, 1, c, row);
        int at = (c * height + y) * width;
        for (int x = 0; x < width; x++) {
          data[at + x] = row[x] / white;
        }
      }
    }
    SampleType type = header.bitsPerSample() == 16 ? SampleType.UINT16 : SampleType.UINT8;
    return new Raster(channels + (clear == null ? 0 : 1), height, width, data).storedAs(type);
  }

  private static void setClear(BufferedImage image, int[] clear, float[] data, int alphaAt) {
    int width = image.getWidth();
    int[] row = new int[width * clear.length];
    for (int y = 0; y < image.getHeight(); y++) {
      image.getRaster().getPixels(0, y, width, 1, row);
      for (int x = 0; x < width; x++) {
        boolean same = true;
        for (int c = 0; c < clear.length && same; c++) {
          same = row[x * clear.length + c] == clear[c];
        }
        if (same) {
          data[alphaAt + y * width + x] = 0;
        }
      }
    }
  }

  /** Where no number says that there is no data, opacity does: pixels without any are clear. */
  private static Raster withOpacity(Raster raster) {
    int channels = raster.channels();
    boolean opaque = raster.format().bands() == Bands.ofPicture(channels) && channels % 2 == 1;
    if (raster.noData().isEmpty() || raster.format().noData().isPresent() || !opaque) {
      return raster;
    }
    int plane = raster.height() * raster.width();
    BitSet clear = raster.noData().get().pixels();
    float[] data = Arrays.copyOf(raster.data(), (channels + 1) * plane);
    ValueRange range = raster.format().range();
    float black = (float) range.unit(0);
    float white = (float) range.unit(raster.format().type().fullRange().high());
    Arrays.fill(data, channels * plane, data.length, white);
    for (int i = clear.nextSetBit(0); i >= 0; i = clear.nextSetBit(i + 1)) {
      for (int c = 0; c <= channels; c++) {
        data[c * plane + i] = black;
      }
    }
    return new Raster(
        channels + 1,
        raster.height(),
        raster.width(),
        data,
        raster.format().withBands(Bands.ofPicture(channels + 1)),
        raster.metadata());
  }

  /** As samples of 8 or 16 bits, pixel by pixel. */
  private static BufferedImage toBufferedImage(Raster picture) {
    int channels = picture.channels();
    PixelFormat format = picture.format();
    if (channels > 4) {
      throw new ImageException(
          "%s cannot be a PNG file: 1 to 4 channels are supported".formatted(picture));
    }
    if (format.type() != SampleType.UINT8 && format.type() != SampleType.UINT16) {
      throw new ImageException(
          "%s of type %s cannot be a PNG file, which holds UINT8 and UINT16; see storedAs"
              .formatted(picture, format.type()));
    }
    if (format.bands().areMeasurements() && channels % 2 == 0) {
      throw new ImageException(
          "%s of measurements cannot be a PNG file, where the last of %d channels is opacity"
              .formatted(picture, channels));
    }
    if (format.range().descending()) {
      throw new ImageException(
          "%s over %s cannot be a PNG file, where large numbers are bright; see storedAs"
              .formatted(picture, format.range()));
    }
    boolean wide = format.type() == SampleType.UINT16;
    boolean alpha = channels % 2 == 0;
    int dataType = wide ? DataBuffer.TYPE_USHORT : DataBuffer.TYPE_BYTE;
    ComponentColorModel model =
        new ComponentColorModel(
            ColorSpace.getInstance(channels <= 2 ? ColorSpace.CS_GRAY : ColorSpace.CS_sRGB),
            alpha,
            false,
            alpha ? Transparency.TRANSLUCENT : Transparency.OPAQUE,
            dataType);
    int width = picture.width();
    WritableRaster raster =
        java.awt.image.Raster.createInterleavedRaster(
            dataType,
            width,
            picture.height(),
            Math.multiplyExact(width, channels),
            channels,
            IntStream.range(0, channels).toArray(),
            null);
    if (wide) {
      fill(picture, ((DataBufferUShort) raster.getDataBuffer()).getData());
    } else {
      fill(picture, ((DataBufferByte) raster.getDataBuffer()).getData());
    }
    return new BufferedImage(model, raster, false, null);
  }

  private static void fill(Raster picture, byte[] samples) {
    PixelFormat format = picture.format();
    // The sample is rounded as diffusers does it where nothing asks for more.
    boolean full = format.range().equals(SampleType.UINT8.fullRange()) && format.noData().isEmpty();
    int channels = picture.channels();
    int pixels = picture.height() * picture.width();
    float[] data = picture.data();
    for (int c = 0; c < channels; c++) {
      for (int i = 0; i < pixels; i++) {
        float value = data[c * pixels + i];
        samples[i * channels + c] =
            full ? toByte(value, picture) : (byte) (int) sample(picture, c * pixels + i);
      }
    }
  }

  private static void fill(Raster picture, short[] samples) {
    int channels = picture.channels();
    int pixels = picture.height() * picture.width();
    for (int c = 0; c < channels; c++) {
      for (int i = 0; i < pixels; i++) {
        samples[i * channels + c] = (short) (int) sample(picture, c * pixels + i);
      }
    }
  }

  /** What stands in a file for a value, or where there is no data. */
  static double sample(Raster picture, int index) {
    boolean missing = picture.noData().isPresent() && picture.noData().get().isMissing(index);
    return missing
        ? picture.format().noDataSample()
        : picture.format().sample(requireNumber(picture.data()[index], picture));
  }

  /** Cut to 0..1, times 255 in float as diffusers does, to the nearest, halves to even. */
  static byte toByte(float value, Raster picture) {
    return (byte) (int) Math.rint(Math.max(0f, Math.min(1f, requireNumber(value, picture))) * 255f);
  }

  static float requireNumber(float value, Raster picture) {
    if (Float.isNaN(value)) {
      throw new ImageException(
          "%s holds a value that is not a number; 0 to 1 are expected".formatted(picture));
    }
    return value;
  }
}
