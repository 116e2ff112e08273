/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.Iterator;
import java.util.concurrent.atomic.AtomicReference;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.stream.MemoryCacheImageInputStream;

/** JPEG data of 8 bits as it is stored, read by Java's own decoder: no color is converted. */
final class JpegBaseline {
  private JpegBaseline() {}

  static JpegDecoder.Image decode(byte[] file, JpegMarkers markers) {
    ImageReader reader = reader();
    AtomicReference<String> trouble = new AtomicReference<>();
    reader.addIIOReadWarningListener(
        (source, warning) -> {
          // The decoder fills what is missing with gray.
          if (warning.contains("Corrupt") || warning.contains("Premature")) {
            trouble.compareAndSet(null, warning);
          }
        });
    try (MemoryCacheImageInputStream in =
        new MemoryCacheImageInputStream(new ByteArrayInputStream(file))) {
      reader.setInput(in, true, true);
      java.awt.image.Raster raster = reader.readRaster(0, null);
      if (trouble.get() != null) {
        throw new ImageException("Corrupt JPEG data: " + trouble.get());
      }
      int width = markers.width();
      int height = markers.height();
      if (raster.getWidth() != width
          || raster.getHeight() != height
          || raster.getNumBands() != markers.components()) {
        throw new ImageException("Corrupt JPEG data: it says two different sizes");
      }
      int[] planes = new int[markers.components() * width * height];
      int[] row = new int[width];
      for (int c = 0; c < markers.components(); c++) {
        for (int y = 0; y < height; y++) {
          raster.getSamples(0, y, width, 1, c, row);
          System.arraycopy(row, 0, planes, (c * height + y) * width, width);
        }
      }
      return new JpegDecoder.Image(width, height, markers.components(), 8, planes);
    } catch (IOException | IllegalArgumentException | IllegalStateException e) {
      throw new ImageException("Corrupt JPEG data: " + e.getMessage(), e);
    } catch (IndexOutOfBoundsException | NegativeArraySizeException | ClassCastException e) {
      // What the reader gives for segments that contradict each other.
      throw new ImageException("Corrupt JPEG data: " + e, e);
    } finally {
      reader.dispose();
    }
  }

  /** Java's own, whatever else is on the class path: others differ in what they convert. */
  private static ImageReader reader() {
    Iterator<ImageReader> readers = ImageIO.getImageReadersByFormatName("jpeg");
    while (readers.hasNext()) {
      ImageReader reader = readers.next();
      if (reader.getClass().getName().startsWith("com.sun.imageio.")) {
        return reader;
      }
      reader.dispose();
    }
    throw new ImageException("This Java has no JPEG decoder (module java.desktop)");
  }
}
