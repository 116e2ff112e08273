/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.detection;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.ArrayList;
import java.util.List;

/**
 * A scene and what is in it.
 *
 * @param image three channels, 0..1
 * @param things that a model is to find; what only distracts is none
 */
record DrawnScene(Raster image, List<Thing> things) {
  DrawnScene {
    things = List.copyOf(things);
  }

  /**
   * A thing of a class.
   *
   * @param inside of each pixel of the image, by rows, whether the thing is there
   */
  record Thing(String label, Shape inside) {}

  /**
   * The pixels of a thing, which are connected.
   *
   * @param side of the image
   * @param pixels by rows
   */
  record Shape(int side, boolean[] pixels) {
    /** Left, top, width and height of the smallest box around them. */
    int[] box() {
      int left = side;
      int top = side;
      int right = -1;
      int bottom = -1;
      for (int i = 0; i < pixels.length; i++) {
        if (pixels[i]) {
          left = Math.min(left, i % side);
          right = Math.max(right, i % side);
          top = Math.min(top, i / side);
          bottom = Math.max(bottom, i / side);
        }
      }
      return new int[] {left, top, right - left + 1, bottom - top + 1};
    }

    int area() {
      int area = 0;
      for (boolean pixel : pixels) {
        area += pixel ? 1 : 0;
      }
      return area;
    }

    /** COCO's run lengths: down the columns, those outside and those inside in turn. */
    List<Integer> runs() {
      List<Integer> runs = new ArrayList<>();
      boolean inside = false;
      int length = 0;
      for (int i = 0; i < pixels.length; i++) {
        boolean pixel = pixels[i % side * side + i / side];
        if (pixel != inside) {
          runs.add(length);
          length = 0;
          inside = pixel;
        }
        length++;
      }
      runs.add(length);
      return runs;
    }
  }
}
