/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.ArrayDeque;
import org.apache.flink.annotation.Internal;

/**
 * The edges of a picture by Canny 1986, "A Computational Approach to Edge Detection", with the
 * choices of OpenCV's {@code cv2.Canny} and in its whole numbers: gradients of Sobel's 3 x 3
 * filters whose size is the sum of both parts; of a color picture, each pixel's gradient is that of
 * the band in which it is largest. There is no blur before.
 *
 * <pre>{@code
 * Raster edges = CannyEdges.of(photo, 100, 200); // one band: 1 on an edge, else 0
 * }</pre>
 */
@Internal
public final class CannyEdges {
  /** The tangent of 22.5 degrees, with 15 bits after the point. */
  private static final int TANGENT = (int) (0.4142135623730950488 * (1 << 15) + 0.5);

  private static final byte WEAK = 1;
  private static final byte EDGE = 2;

  private final int height;
  private final int width;

  /** With a row and a column of zeros around. */
  private final int[] size;

  private final int[] across;
  private final int[] down;

  private CannyEdges(int height, int width) {
    this.height = height;
    this.width = width;
    this.size = new int[(height + 2) * (width + 2)];
    this.across = new int[height * width];
    this.down = new int[height * width];
  }

  /**
   * @param picture gray or color, whose values are taken to the nearest of 256 levels; opacity is
   *     left out
   * @param low gradient above which a pixel is on an edge if it is connected to one that is
   * @param high gradient above which a pixel is on an edge in any case; the two may be exchanged
   * @throws ImageException for measurements of another number of bands than 1 or 3
   */
  public static Raster of(Raster picture, double low, double high) {
    int bands = picture.format().bands().hasAlpha() ? picture.channels() - 1 : picture.channels();
    if (bands != 1 && bands != 3) {
      throw new ImageException("Edges of an image with %d bands; expected 1 or 3".formatted(bands));
    }
    if (Double.isNaN(low) || Double.isNaN(high)) {
      throw new ImageException("Edges above %s and %s; numbers are expected".formatted(low, high));
    }
    CannyEdges edges = new CannyEdges(picture.height(), picture.width());
    for (int band = 0; band < bands; band++) {
      edges.gradients(picture, band);
    }
    return edges.traced(
        (int) Math.floor(Math.min(low, high)), (int) Math.floor(Math.max(low, high)));
  }

  /** Where a band's gradient is larger than those of the bands before it, it counts. */
  private void gradients(Raster picture, int band) {
    int[] levels = new int[height * width];
    for (int i = 0; i < levels.length; i++) {
      float value = picture.data()[band * levels.length + i];
      levels[i] = Math.round(Math.max(0, Math.min(1, value)) * 255);
    }
    for (int y = 0; y < height; y++) {
      // Beyond the border stands what is on it.
      int above = Math.max(y - 1, 0) * width;
      int here = y * width;
      int below = Math.min(y + 1, height - 1) * width;
      for (int x = 0; x < width; x++) {
        int left = Math.max(x - 1, 0);
        int right = Math.min(x + 1, width - 1);
        int dx =
            levels[above + right]
                + 2 * levels[here + right]
                + levels[below + right]
                - levels[above + left]
                - 2 * levels[here + left]
                - levels[below + left];
        int dy =
            levels[below + left]
                + 2 * levels[below + x]
                + levels[below + right]
                - levels[above + left]
                - 2 * levels[above + x]
                - levels[above + right];
        int sum = Math.abs(dx) + Math.abs(dy);
        if (band == 0 || sum > size[at(y, x)]) {
          size[at(y, x)] = sum;
          across[here + x] = dx;
          down[here + x] = dy;
        }
      }
    }
  }

  private int at(int y, int x) {
    return (y + 1) * (width + 2) + x + 1;
  }

  private Raster traced(int low, int high) {
    byte[] kinds = new byte[size.length];
    ArrayDeque<Integer> open = new ArrayDeque<>();
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        int here = at(y, x);
        if (size[here] > low && isRidge(y, x)) {
          kinds[here] = size[here] > high ? EDGE : WEAK;
          if (kinds[here] == EDGE) {
            open.add(here);
          }
        }
      }
    }
    int row = width + 2;
    int[] around = {-row - 1, -row, -row + 1, -1, 1, row - 1, row, row + 1};
    while (!open.isEmpty()) {
      int here = open.remove();
      for (int step : around) {
        if (kinds[here + step] == WEAK) {
          kinds[here + step] = EDGE;
          open.add(here + step);
        }
      }
    }
    float[] values = new float[height * width];
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        values[y * width + x] = kinds[at(y, x)] == EDGE ? 1 : 0;
      }
    }
    return new Raster(1, height, width, values);
  }

  /** Whether the gradient is larger than those before and behind it, in its own direction. */
  private boolean isRidge(int y, int x) {
    int dx = across[y * width + x];
    int dy = down[y * width + x];
    int here = at(y, x);
    int row = width + 2;
    long flat = (long) Math.abs(dx) * TANGENT;
    long steep = flat + ((long) Math.abs(dx) << 16);
    long rise = (long) Math.abs(dy) << 15;
    if (rise < flat) {
      return size[here] > size[here - 1] && size[here] >= size[here + 1];
    }
    if (rise > steep) {
      return size[here] > size[here - row] && size[here] >= size[here + row];
    }
    int side = (dx ^ dy) < 0 ? -1 : 1;
    return size[here] > size[here - row - side] && size[here] > size[here + row + side];
  }
}
