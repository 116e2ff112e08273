/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import org.apache.flink.annotation.Internal;

/**
 * Changes a picture's size as Python's imaging library (Pillow 13) does, bit for bit.
 *
 * <p>Models were trained and are tested with pictures that this library made smaller: it widens the
 * filter with the scale (so nothing aliases), works on 8-bit samples with weights of 22 fractional
 * bits, and rounds after the first direction and again after the second. A resize in floats differs
 * from it by a level here and there.
 */
@Internal
public final class PilResize {

  /** The weight of a source pixel by its distance from where the target pixel lies. */
  public enum Filter {
    /** The mean of what the target pixel covers. */
    BOX(4, 0.5) {
      @Override
      double weight(double x) {
        return x > -0.5 && x <= 0.5 ? 1 : 0;
      }
    },
    /** A triangle. */
    BILINEAR(2, 1) {
      @Override
      double weight(double x) {
        return Math.max(0, 1 - Math.abs(x));
      }
    },
    /** As sharp as bicubic to make a picture smaller, and as local as bilinear. */
    HAMMING(5, 1) {
      @Override
      double weight(double x) {
        double phase = Math.abs(x) * Math.PI;
        if (phase == 0) {
          return 1;
        }
        return Math.abs(x) >= 1 ? 0 : Math.sin(phase) / phase * (0.54f + 0.46f * Math.cos(phase));
      }
    },
    /** Keys' cubic with a = -0.5. */
    BICUBIC(3, 2) {
      @Override
      double weight(double x) {
        double a = -0.5;
        double t = Math.abs(x);
        if (t < 1) {
          return ((a + 2) * t - (a + 3)) * t * t + 1;
        }
        return t < 2 ? (((t - 5) * t + 8) * t - 4) * a : 0;
      }
    },
    /** A sinc under a wider sinc, of three lobes. */
    LANCZOS(1, 3) {
      @Override
      double weight(double x) {
        return -3 <= x && x < 3 ? sinc(x) * sinc(x / 3) : 0;
      }

      private double sinc(double x) {
        return x == 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
      }
    };

    private final int code;
    private final double support;

    Filter(int code, double support) {
      this.code = code;
      this.support = support;
    }

    /** Unnormalised weight at a distance in source pixels; 0 beyond the support. */
    abstract double weight(double x);

    /** Distance in source pixels from which on weights are 0. */
    double support() {
      return support;
    }

    /**
     * The filter that a preprocessor's config calls by the library's number ({@code resample}).
     *
     * @throws ImageException for a number without such a filter: 0 (nearest) does not filter
     */
    public static Filter ofCode(int code) {
      for (Filter filter : values()) {
        if (filter.code == code) {
          return filter;
        }
      }
      throw new ImageException(
          "Resampling filter %d; supported: 1 (lanczos), 2 (bilinear), 3 (bicubic), 4 (box), 5 (hamming)"
              .formatted(code));
    }
  }

  private static final int FRACTION_BITS = 32 - 8 - 2;
  private static final int ONE_HALF = 1 << (FRACTION_BITS - 1);

  private PilResize() {}

  /**
   * A picture of another size. Values are first taken to the nearest of 256 levels, as {@link
   * PngCodec#encode} does; the result's are multiples of 1/255. Channels do not mix: a picture with
   * alpha, whose colors the library weights by it, is to be flattened before.
   *
   * @param height rows of the result
   * @param width pixels of a row of the result
   * @throws ImageException if a size is not positive or a value is not a number
   */
  public static Raster resize(Raster picture, int height, int width, Filter filter) {
    if (height < 1 || width < 1) {
      throw new ImageException(
          "Resizing %s to %d x %d; both must be at least 1".formatted(picture, height, width));
    }
    int channels = picture.channels();
    int rows = picture.height();
    int columns = picture.width();
    Kernels across = columns == width ? null : Kernels.of(columns, width, filter);
    Kernels down = rows == height ? null : Kernels.of(rows, height, filter);
    // Pillow 13's choice, which saves work on tall pictures. Until 12 rows always came first; the
    // two
    // differ by a level where the order matters.
    boolean columnsFirst = height < rows && rows - height > 2 * (columns - width);
    float[] result = new float[Math.multiplyExact(channels, Math.multiplyExact(height, width))];
    for (int c = 0; c < channels; c++) {
      byte[] plane = plane(picture, c);
      if (columnsFirst && down != null) {
        plane = down.applyToColumns(plane, columns);
      }
      if (across != null) {
        plane = across.applyToRows(plane, columnsFirst ? height : rows);
      }
      if (!columnsFirst && down != null) {
        plane = down.applyToColumns(plane, width);
      }
      for (int i = 0; i < plane.length; i++) {
        result[c * height * width + i] = (plane[i] & 0xFF) / 255f;
      }
    }
    return new Raster(channels, height, width, result);
  }

  private static byte[] plane(Raster picture, int channel) {
    byte[] plane = new byte[picture.height() * picture.width()];
    for (int i = 0; i < plane.length; i++) {
      plane[i] = PngCodec.toByte(picture.data()[channel * plane.length + i], picture);
    }
    return plane;
  }

  /**
   * For every target pixel of a line, where its source pixels begin and their weights, in units of
   * 2^-22.
   */
  private record Kernels(int[] begins, int[][] weights) {

    static Kernels of(int sourceSize, int targetSize, Filter filter) {
      double scale = (double) sourceSize / targetSize;
      double stretch = Math.max(1, scale);
      double support = filter.support * stretch;
      int[] begins = new int[targetSize];
      int[][] weights = new int[targetSize][];
      for (int i = 0; i < targetSize; i++) {
        double center = (i + 0.5) * scale;
        int begin = Math.max(0, (int) (center - support + 0.5));
        int end = Math.min(sourceSize, (int) (center + support + 0.5));
        double[] exact = new double[end - begin];
        double sum = 0;
        double shrink = 1 / stretch;
        for (int k = 0; k < exact.length; k++) {
          exact[k] = filter.weight((k + begin - center + 0.5) * shrink);
          sum += exact[k];
        }
        begins[i] = begin;
        weights[i] = new int[exact.length];
        for (int k = 0; k < exact.length; k++) {
          double scaled = (sum == 0 ? exact[k] : exact[k] / sum) * (1 << FRACTION_BITS);
          weights[i][k] = (int) (scaled < 0 ? scaled - 0.5 : scaled + 0.5);
        }
      }
      return new Kernels(begins, weights);
    }

    /** Filters each of a plane's rows to a row of another length. */
    byte[] applyToRows(byte[] source, int rows) {
      int width = source.length / rows;
      byte[] target = new byte[rows * begins.length];
      for (int y = 0; y < rows; y++) {
        for (int x = 0; x < begins.length; x++) {
          target[y * begins.length + x] = level(source, y * width + begins[x], 1, weights[x]);
        }
      }
      return target;
    }

    /** Filters each of a plane's columns to a column of another length. */
    byte[] applyToColumns(byte[] source, int width) {
      byte[] target = new byte[begins.length * width];
      for (int y = 0; y < begins.length; y++) {
        for (int x = 0; x < width; x++) {
          target[y * width + x] = level(source, begins[y] * width + x, width, weights[y]);
        }
      }
      return target;
    }

    private static byte level(byte[] source, int begin, int stride, int[] weights) {
      int sum = ONE_HALF;
      int at = begin;
      for (int weight : weights) {
        sum += (source[at] & 0xFF) * weight;
        at += stride;
      }
      return (byte) Math.max(0, Math.min(255, sum >> FRACTION_BITS));
    }
  }
}
