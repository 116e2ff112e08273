/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.util.function.Consumer;
import javax.imageio.ImageReader;
import javax.imageio.metadata.IIOMetadata;
import org.w3c.dom.Element;
import org.w3c.dom.Node;

/** Frames of animated GIF files, read by Java's own codec and put together as viewers do. */
final class GifFrames {
  private static final String METADATA = "javax_imageio_gif_image_1.0";

  private GifFrames() {}

  static void each(byte[] file, ImageLimits limits, Consumer<byte[]> frames) {
    int[] size = GifCodec.size(file);
    if (size[0] < 1 || size[1] < 1) {
      throw new ImageException(
          "Corrupt GIF file: it says that it is %d x %d pixels".formatted(size[0], size[1]));
    }
    limits.check(size[0], size[1], 4);
    ImageReader reader = JavaCodecs.reader("gif");
    try (BoundedImageStream in = new BoundedImageStream(file, "GIF")) {
      reader.setInput(in, false, false);
      int count = reader.getNumImages(true);
      FrameCanvas canvas = new FrameCanvas(size[0], size[1]);
      for (int i = 0; i < count; i++) {
        IIOMetadata metadata = reader.getImageMetadata(i);
        Node tree = metadata.getAsTree(METADATA);
        Element place = child(tree, "ImageDescriptor");
        int left = number(place, "imageLeftPosition");
        int top = number(place, "imageTopPosition");
        Window window =
            new Window(left, top, number(place, "imageWidth"), number(place, "imageHeight"));
        // Before the codec makes an image of that size.
        limits.check(window.width(), window.height(), 4);
        Element control = child(tree, "GraphicControlExtension");
        String disposal = control == null ? "" : control.getAttribute("disposalMethod");
        FrameCanvas before = disposal.equals("restoreToPrevious") ? canvas.copy() : null;
        canvas.put(JavaImages.toRaster(reader.read(i)), left, top, true);
        frames.accept(canvas.png());
        if (before != null) {
          canvas = before;
        } else if (disposal.equals("restoreToBackgroundColor")) {
          canvas.clear(window);
        }
      }
    } catch (ImageException e) {
      throw e;
    } catch (IOException | RuntimeException e) {
      throw new ImageException("Corrupt GIF file: " + e, e);
    } finally {
      reader.dispose();
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
