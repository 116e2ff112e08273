/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import javax.imageio.IIOImage;
import javax.imageio.ImageReader;
import javax.imageio.ImageWriteParam;
import javax.imageio.ImageWriter;
import javax.imageio.stream.MemoryCacheImageInputStream;
import javax.imageio.stream.MemoryCacheImageOutputStream;

/**
 * JPEG files of 8 bits, gray, in color or CMYK, whose pixels are read and written by Java's own
 * codec; colors are converted as libjpeg and Pillow do it. An image that EXIF data turn is turned
 * upright. Color profiles are not applied: samples are taken as they stand in the file, which is
 * what diffusion models are trained with; a profile goes on into a result of as many colors. Texts
 * are comments.
 */
final class JpegCodec implements ImageFormat {
  /** Where differences to the original are hardly seen. */
  private static final float QUALITY = 0.95f;

  /** The largest number of 12 bits. */
  private static final float WHITE_12 = 4095;

  @Override
  public ImageKind kind() {
    return ImageKind.JPEG;
  }

  @Override
  public Raster read(byte[] file, ReadOptions options) {
    if (options.page() > 0) {
      throw new ImageException("Page %d of a JPEG file, which has one".formatted(options.page()));
    }
    JpegSegments segments = JpegSegments.read(file);
    int components = segments.components();
    options.limits().check(segments.width(), segments.height(), components);
    if (components != 1 && components != 3 && components != 4) {
      throw new ImageException(
          "A JPEG file with %d components; gray (1), color (3) and CMYK (4) are supported"
              .formatted(components));
    }
    boolean gray12 = segments.process() == 0xC1 && segments.bits() == 12 && components == 1;
    if (!gray12 && (segments.process() > 0xC2 || segments.bits() != 8)) {
      throw new ImageException(
          ("A JPEG file of process %02X with %d bits and %d components; baseline, extended and"
                  + " progressive (C0 to C2) with 8 bits are supported, and gray extended (C1) with 12")
              .formatted(segments.process(), segments.bits(), components));
    }
    Raster stored =
        gray12
            ? gray12(file, segments.width(), segments.height())
            : JpegColors.of(segments)
                .toRaster(samples(segments), segments.width(), segments.height());
    ImageMetadata metadata =
        segments.spacing().map(ImageMetadata.NONE::withSpacing).orElse(ImageMetadata.NONE);
    if (!segments.texts().isEmpty()) {
      metadata = metadata.withTexts(segments.texts());
    }
    return stored
        .withMetadata(metadata.withProfile(segments.profile(), stored.channels()))
        .upright(segments.orientation());
  }

  /** Java's decoder knows 8 bits only. */
  private static Raster gray12(byte[] file, int width, int height) {
    JpegDecoder.Image image = JpegDecoder.decode(file, width, height);
    float[] samples = new float[image.planes().length];
    for (int i = 0; i < samples.length; i++) {
      samples[i] = image.planes()[i] / WHITE_12;
    }
    return new Raster(
        1,
        image.height(),
        image.width(),
        samples,
        new PixelFormat(Bands.GRAY, SampleType.UINT16, new ValueRange(0, WHITE_12)),
        ImageMetadata.NONE);
  }

  /** As they stand in the file: no color is converted, but colors are as large as lightness. */
  static java.awt.image.Raster samples(JpegSegments segments) {
    ImageReader reader = JavaCodecs.reader("jpeg");
    try (MemoryCacheImageInputStream in =
        new MemoryCacheImageInputStream(new ByteArrayInputStream(segments.forDecoder()))) {
      reader.setInput(in, true, true);
      java.awt.image.Raster samples = reader.readRaster(0, null);
      if (samples.getWidth() != segments.width()
          || samples.getHeight() != segments.height()
          || samples.getNumBands() != segments.components()) {
        throw new ImageException("Corrupt JPEG file: it says two different sizes");
      }
      return samples;
    } catch (IOException | IllegalArgumentException | IllegalStateException e) {
      throw new ImageException("Corrupt JPEG file: " + e.getMessage(), e);
    } catch (IndexOutOfBoundsException
        | NegativeArraySizeException
        | ClassCastException
        | NullPointerException e) {
      // What the reader gives for tables that contradict each other.
      throw new ImageException("Corrupt JPEG file: " + e, e);
    } finally {
      reader.dispose();
    }
  }

  @Override
  public byte[] write(Raster picture) {
    int channels = picture.channels();
    if (channels != 1 && channels != 3 || picture.format().type() != SampleType.UINT8) {
      throw new ImageException(
          "%s of type %s cannot be a JPEG file: 1 or 3 channels of UINT8 are supported"
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
    ImageWriter writer = JavaCodecs.writer("jpeg");
    try (MemoryCacheImageOutputStream out = new MemoryCacheImageOutputStream(bytes)) {
      ImageWriteParam quality = writer.getDefaultWriteParam();
      quality.setCompressionMode(ImageWriteParam.MODE_EXPLICIT);
      quality.setCompressionQuality(QUALITY);
      writer.setOutput(out);
      writer.write(null, new IIOImage(image, null, null), quality);
    } catch (IOException e) {
      throw new ImageException("Cannot write " + picture + " as JPEG: " + e, e);
    } finally {
      writer.dispose();
    }
    return JpegSegments.written(bytes.toByteArray(), picture.metadata(), channels);
  }
}
