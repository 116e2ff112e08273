package io.github.flinkdiffusion.ops.image;

import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Optional;
import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.ImageWriteParam;
import javax.imageio.ImageWriter;
import javax.imageio.stream.MemoryCacheImageInputStream;
import javax.imageio.stream.MemoryCacheImageOutputStream;

/**
 * JPEG files of 8 bits, gray or in color, read and written by Java's own codec. Color profiles are
 * neither applied nor written. Of the metadata only the pixels' spacing is read and none is
 * written: a result with an audit record belongs into a PNG or TIFF file.
 */
final class JpegCodec implements ImageFormat {
  /** Where differences to the original are hardly seen. */
  private static final float QUALITY = 0.95f;

  /** A progressive file has about ten; each costs a pass over the whole picture. */
  private static final int MAX_SCANS = 100;

  @Override
  public ImageKind kind() {
    return ImageKind.JPEG;
  }

  @Override
  public Raster read(byte[] file, ReadOptions options) {
    if (options.page() > 0) {
      throw new ImageException("Page %d of a JPEG file, which has one".formatted(options.page()));
    }
    Header header = Header.read(file);
    options.limits().check(header.width, header.height, header.components);
    if (header.components != 1 && header.components != 3) {
      throw new ImageException(
          "A JPEG file with %d components, such as CMYK; gray (1) and color (3) are supported"
              .formatted(header.components));
    }
    ImageReader reader = ImageIO.getImageReadersByFormatName("jpeg").next();
    try (MemoryCacheImageInputStream in =
        new MemoryCacheImageInputStream(new ByteArrayInputStream(file))) {
      reader.setInput(in, true, true);
      BufferedImage image = reader.read(0);
      if (image.getWidth() != header.width || image.getHeight() != header.height) {
        throw new ImageException("Damaged JPEG file: it says two different sizes");
      }
      return new Raster(header.components, header.height, header.width, values(image, header))
          .withMetadata(
              header.spacing.map(ImageMetadata.NONE::withSpacing).orElse(ImageMetadata.NONE));
    } catch (IOException | IllegalArgumentException | IllegalStateException e) {
      throw new ImageException("Damaged JPEG file: " + e.getMessage(), e);
    } catch (IndexOutOfBoundsException | NegativeArraySizeException | ClassCastException e) {
      // What the reader gives for profiles and tables that contradict each other.
      throw new ImageException("Damaged JPEG file: " + e, e);
    } finally {
      reader.dispose();
    }
  }

  private static float[] values(BufferedImage image, Header header) {
    float[] data = new float[header.components * header.height * header.width];
    int[] row = new int[header.width];
    for (int c = 0; c < header.components; c++) {
      for (int y = 0; y < header.height; y++) {
        image.getRaster().getSamples(0, y, header.width, 1, c, row);
        for (int x = 0; x < header.width; x++) {
          data[(c * header.height + y) * header.width + x] = row[x] / 255f;
        }
      }
    }
    return data;
  }

  @Override
  public byte[] write(Raster picture) {
    int channels = picture.channels();
    if (channels != 1 && channels != 3 || picture.format().type() != SampleType.UINT8) {
      throw new ImageException(
          "%s of type %s can not be a JPEG file: 1 or 3 channels of UINT8 are supported"
              .formatted(picture, picture.format().type()));
    }
    int pixels = picture.height() * picture.width();
    BufferedImage image =
        new BufferedImage(
            picture.width(),
            picture.height(),
            channels == 1 ? BufferedImage.TYPE_BYTE_GRAY : BufferedImage.TYPE_INT_RGB);
    for (int c = 0; c < channels; c++) {
      int[] samples = new int[pixels];
      for (int i = 0; i < pixels; i++) {
        samples[i] = (int) PngCodec.sample(picture, c * pixels + i);
      }
      image.getRaster().setSamples(0, 0, picture.width(), picture.height(), c, samples);
    }
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    ImageWriter writer = ImageIO.getImageWritersByFormatName("jpeg").next();
    try (MemoryCacheImageOutputStream out = new MemoryCacheImageOutputStream(bytes)) {
      ImageWriteParam quality = writer.getDefaultWriteParam();
      quality.setCompressionMode(ImageWriteParam.MODE_EXPLICIT);
      quality.setCompressionQuality(QUALITY);
      writer.setOutput(out);
      writer.write(null, new IIOImage(image, null, null), quality);
    } catch (IOException e) {
      throw new ImageException("Can not write " + picture + " as JPEG: " + e, e);
    } finally {
      writer.dispose();
    }
    return bytes.toByteArray();
  }

  /** What the segments before and between the pixels say. */
  private record Header(int width, int height, int components, Optional<PixelSpacing> spacing) {

    static Header read(byte[] file) {
      Header header = null;
      Optional<PixelSpacing> spacing = Optional.empty();
      int scans = 0;
      int at = 2;
      while (true) {
        // Between segments only packed pixels lie, in which FF is followed by 0 or a restart.
        while (at + 1 < file.length && !isMarker(file, at)) {
          at++;
        }
        if (at + 1 >= file.length) {
          throw new ImageException(
              "Truncated JPEG file: it ends at byte %d without an end mark".formatted(file.length));
        }
        int marker = file[at + 1] & 0xFF;
        if (marker == 0xD9) {
          break;
        }
        int length = at + 3 < file.length ? unsigned(file, at + 2) : 0;
        if (length < 2 || at + 2 + length > file.length) {
          throw new ImageException(
              "Truncated JPEG file: the segment at byte %d has %d bytes, but the file ends at %d"
                  .formatted(at, length, file.length));
        }
        if (isFrame(marker)) {
          if (header != null) {
            throw new ImageException("Damaged JPEG file: it has more than one header");
          }
          header = frame(file, at, length, marker);
        } else if (marker == 0xE0 && length >= 14 && file[at + 4] == 'J' && file[at + 5] == 'F') {
          spacing = spacing(file[at + 11], unsigned(file, at + 12), unsigned(file, at + 14));
        } else if (marker == 0xDA && ++scans > MAX_SCANS) {
          throw new ImageException(
              "A JPEG file of more than %d scans, which are accepted".formatted(MAX_SCANS));
        }
        at += 2 + length;
      }
      if (header == null || scans == 0) {
        throw new ImageException("Damaged JPEG file: it has no header or no pixels");
      }
      return new Header(header.width, header.height, header.components, spacing);
    }

    private static boolean isMarker(byte[] file, int at) {
      int code = file[at + 1] & 0xFF;
      boolean restart = code >= 0xD0 && code <= 0xD7;
      return (file[at] & 0xFF) == 0xFF && code != 0 && code != 0xFF && !restart;
    }

    /** C0 to CF, but for the tables among them. */
    private static boolean isFrame(int marker) {
      return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    }

    private static Header frame(byte[] file, int at, int length, int marker) {
      if (length < 8) {
        throw new ImageException("Damaged JPEG file: a header of %d bytes".formatted(length));
      }
      int bits = file[at + 4] & 0xFF;
      int height = unsigned(file, at + 5);
      int width = unsigned(file, at + 7);
      int components = file[at + 9] & 0xFF;
      if (width < 1 || height < 1 || components < 1) {
        throw new ImageException(
            "Damaged JPEG file: it says that it is %d x %d pixels in %d components"
                .formatted(width, height, components));
      }
      if (marker > 0xC2 || bits != 8) {
        throw new ImageException(
            ("A JPEG file of process %02X with %d bits; baseline, extended and progressive (C0 to"
                    + " C2) with 8 bits are supported")
                .formatted(marker, bits));
      }
      return new Header(width, height, components, Optional.empty());
    }

    private static Optional<PixelSpacing> spacing(int unit, int x, int y) {
      double millimetres = unit == 1 ? 25.4 : 10;
      return (unit == 1 || unit == 2) && x > 0 && y > 0
          ? Optional.of(new PixelSpacing(millimetres / x, millimetres / y))
          : Optional.empty();
    }

    private static int unsigned(byte[] file, int at) {
      return (file[at] & 0xFF) << 8 | file[at + 1] & 0xFF;
    }
  }
}
