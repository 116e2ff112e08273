/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.concurrent.Callable;
import java.util.function.Predicate;
import javax.imageio.ImageReader;
import org.w3c.dom.Element;
import org.w3c.dom.Node;

/** Frames of animated GIF files, read by Java's own codec and put together as viewers do. */
final class GifFrames {
  private static final String METADATA = "javax_imageio_gif_image_1.0";

  private GifFrames() {}

  static void each(byte[] file, ImageLimits limits, Predicate<byte[]> frames) {
    int[] size = GifCodec.size(file);
    if (size[0] < 1 || size[1] < 1) {
      throw new ImageException(
          "Corrupt GIF file: it says that it is %d x %d pixels".formatted(size[0], size[1]));
    }
    limits.check(size[0], size[1], 4);
    ImageReader reader = JavaCodecs.reader("gif");
    try (BoundedImageStream in = new BoundedImageStream(file, "GIF")) {
      reader.setInput(in, false, false);
      int count = checked(() -> reader.getNumImages(true));
      FrameCanvas canvas = new FrameCanvas(size[0], size[1]);
      boolean wanted = true;
      for (int i = 0; i < count && wanted; i++) {
        int number = i;
        Part part = checked(() -> Part.read(reader, number, limits));
        FrameCanvas before = part.disposal().equals("restoreToPrevious") ? canvas.copy() : null;
        canvas.put(part.pixels(), part.place().x(), part.place().y(), true);
        wanted = frames.test(canvas.png());
        if (before != null) {
          canvas = before;
        } else if (part.disposal().equals("restoreToBackgroundColor")) {
          canvas.clear(part.place());
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e); // closing a stream in memory
    } finally {
      reader.dispose();
    }
  }

  /**
   * One image of the file.
   *
   * @param disposal what becomes of it before the next one, as Java names it
   */
  private record Part(Raster pixels, Window place, String disposal) {
    static Part read(ImageReader reader, int number, ImageLimits limits) throws IOException {
      Node tree = reader.getImageMetadata(number).getAsTree(METADATA);
      Element place = child(tree, "ImageDescriptor");
      Window window =
          new Window(
              number(place, "imageLeftPosition"),
              number(place, "imageTopPosition"),
              number(place, "imageWidth"),
              number(place, "imageHeight"));
      // Before the codec makes an image of that size.
      limits.check(window.width(), window.height(), 4);
      Element control = child(tree, "GraphicControlExtension");
      return new Part(
          JavaImages.toRaster(reader.read(number)),
          window,
          control == null ? "" : control.getAttribute("disposalMethod"));
    }
  }

  private static <T> T checked(Callable<T> reading) {
    try {
      return reading.call();
    } catch (ImageException e) {
      throw e;
    } catch (Exception e) {
      throw new ImageException("Corrupt GIF file: " + e, e);
    }
  }

  private static Element child(Node tree, String name) {
    for (Node child = tree.getFirstChild(); child != null; child = child.getNextSibling()) {
      if (child.getNodeName().equals(name)) {
        return (Element) child;
      }
    }
    return null;
  }

  private static int number(Element element, String attribute) {
    return Integer.parseInt(element.getAttribute(attribute));
  }
}
