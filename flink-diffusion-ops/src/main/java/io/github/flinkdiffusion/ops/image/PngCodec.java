package io.github.flinkdiffusion.ops.image;

import java.awt.Transparency;
import java.awt.color.ColorSpace;
import java.awt.image.BufferedImage;
import java.awt.image.ComponentColorModel;
import java.awt.image.DataBuffer;
import java.awt.image.DataBufferByte;
import java.awt.image.IndexColorModel;
import java.awt.image.WritableRaster;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.stream.IntStream;
import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.ImageWriter;
import javax.imageio.stream.MemoryCacheImageInputStream;
import javax.imageio.stream.MemoryCacheImageOutputStream;

/**
 * PNG files of 8 bits per sample.
 *
 * <p>Sample values are taken as they stand in the file: color profiles and gamma are neither
 * applied nor written, which is what diffusion models are trained with.
 */
public final class PngCodec {

  /**
   * How large a picture may be, checked before memory is spent on it: a file of some kilobytes can
   * say that it has billions of pixels.
   *
   * @param maxSide the most pixels in width or height
   * @param maxPixels the most pixels in all; each takes up to 20 bytes while a file is read
   */
  public record Limits(int maxSide, long maxPixels) {
    /** 16384 a side, 4096 x 4096 in all. */
    public static final Limits DEFAULT = new Limits(16384, 4096L * 4096);

    public Limits {
      if (maxSide < 1 || maxPixels < 1) {
        throw new ImageException(
            "Limits of %d a side and %d pixels; both must be at least 1"
                .formatted(maxSide, maxPixels));
      }
    }

    void check(int width, int height) {
      if (width > maxSide || height > maxSide || (long) width * height > maxPixels) {
        throw new ImageException(
            "The picture is %d x %d pixels; at most %d a side and %d in all are accepted"
                .formatted(width, height, maxSide, maxPixels));
      }
    }
  }

  private PngCodec() {}

  /**
   * Writes a picture of 1 to 4 channels. A value v becomes {@code round(v * 255)}, halves to even,
   * as diffusers does; values outside 0..1 are cut. The same picture gives the same bytes on the
   * same Java.
   *
   * @throws ImageException if it has other than 1 to 4 channels, or a value that is not a number
   */
  public static byte[] encode(Raster picture) {
    BufferedImage image = toBufferedImage(picture);
    ByteArrayOutputStream bytes =
        new ByteArrayOutputStream(picture.height() * picture.width() + 1024);
    ImageWriter writer = ImageIO.getImageWritersByFormatName("png").next();
    try (MemoryCacheImageOutputStream out = new MemoryCacheImageOutputStream(bytes)) {
      writer.setOutput(out);
      writer.write(new IIOImage(image, null, null));
    } catch (IOException e) {
      throw new ImageException("Can not write " + picture + " as PNG: " + e, e);
    } finally {
      writer.dispose();
    }
    return bytes.toByteArray();
  }

  /** Reads a file within {@link Limits#DEFAULT}. */
  public static Raster decode(byte[] png) {
    return decode(png, Limits.DEFAULT);
  }

  /**
   * Reads a file: gray, gray and alpha, RGB or RGBA as they are, a palette as RGB, or as RGBA if
   * some of its colors are transparent. Values are multiples of 1/255.
   *
   * @throws ImageException if it is not a whole PNG file of 8 bits per sample, or is larger than
   *     the limits
   */
  public static Raster decode(byte[] png, Limits limits) {
    PngHeader header = PngHeader.read(png);
    limits.check(header.width(), header.height());
    boolean palette = header.colorType() == PngHeader.ColorType.PALETTE;
    if (header.bitsPerSample() != 8 && !palette) {
      throw new ImageException(
          "The PNG file has %d bits per sample; 8 are supported".formatted(header.bitsPerSample()));
    }
    ImageReader reader = ImageIO.getImageReadersByFormatName("png").next();
    try (MemoryCacheImageInputStream in =
        new MemoryCacheImageInputStream(new ByteArrayInputStream(png))) {
      // Without metadata: compressed texts and profiles are not unpacked.
      reader.setInput(in, true, true);
      BufferedImage image = reader.read(0);
      return palette ? fromPalette(image) : fromSamples(image, header.colorType().samples());
    } catch (IOException | RuntimeException e) {
      // The reader answers nonsense with all kinds of exceptions.
      throw new ImageException("Damaged PNG file: " + e, e);
    } finally {
      reader.dispose();
    }
  }

  private static Raster fromSamples(BufferedImage image, int channels) {
    int width = image.getWidth();
    int height = image.getHeight();
    float[] data = new float[Math.multiplyExact(channels, Math.multiplyExact(width, height))];
    int[] row = new int[width];
    // The image's own raster: getRGB would convert between color spaces.
    for (int c = 0; c < channels; c++) {
      for (int y = 0; y < height; y++) {
        image.getRaster().getSamples(0, y, width, 1, c, row);
        int at = (c * height + y) * width;
        for (int x = 0; x < width; x++) {
          data[at + x] = row[x] / 255f;
        }
      }
    }
    return new Raster(channels, height, width, data);
  }

  private static Raster fromPalette(BufferedImage image) {
    IndexColorModel colors = (IndexColorModel) image.getColorModel();
    int width = image.getWidth();
    int height = image.getHeight();
    int channels = colors.hasAlpha() ? 4 : 3;
    float[] data = new float[Math.multiplyExact(channels, Math.multiplyExact(width, height))];
    int[] row = new int[width];
    for (int y = 0; y < height; y++) {
      image.getRaster().getSamples(0, y, width, 1, 0, row);
      for (int x = 0; x < width; x++) {
        int argb = colors.getRGB(row[x]);
        for (int c = 0; c < channels; c++) {
          int shift = c == 3 ? 24 : 16 - 8 * c;
          data[(c * height + y) * width + x] = (argb >>> shift & 0xFF) / 255f;
        }
      }
    }
    return new Raster(channels, height, width, data);
  }

  /** As 8-bit samples, pixel by pixel. */
  static BufferedImage toBufferedImage(Raster picture) {
    int channels = picture.channels();
    if (channels > 4) {
      throw new ImageException(
          "%s can not be a PNG file: 1 to 4 channels are supported".formatted(picture));
    }
    boolean alpha = channels % 2 == 0;
    ComponentColorModel model =
        new ComponentColorModel(
            ColorSpace.getInstance(channels <= 2 ? ColorSpace.CS_GRAY : ColorSpace.CS_sRGB),
            alpha,
            false,
            alpha ? Transparency.TRANSLUCENT : Transparency.OPAQUE,
            DataBuffer.TYPE_BYTE);
    int width = picture.width();
    WritableRaster raster =
        java.awt.image.Raster.createInterleavedRaster(
            DataBuffer.TYPE_BYTE,
            width,
            picture.height(),
            Math.multiplyExact(width, channels),
            channels,
            IntStream.range(0, channels).toArray(),
            null);
    byte[] samples = ((DataBufferByte) raster.getDataBuffer()).getData();
    float[] data = picture.data();
    int pixels = picture.height() * width;
    for (int c = 0; c < channels; c++) {
      for (int i = 0; i < pixels; i++) {
        samples[i * channels + c] = toByte(data[c * pixels + i], picture);
      }
    }
    return new BufferedImage(model, raster, false, null);
  }

  /** Cut to 0..1, times 255, to the nearest whole number, halves to even. */
  static byte toByte(float value, Raster picture) {
    if (Float.isNaN(value)) {
      throw new ImageException(
          "%s holds a value that is not a number; 0 to 1 are expected".formatted(picture));
    }
    return (byte) (int) Math.rint(Math.max(0f, Math.min(1f, value)) * 255f);
  }
}
