/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/**
 * The samples of a resolution of a tile's component, which its bands and the next lower resolution
 * are composed to: whole numbers where the wavelet is reversible, else real ones.
 */
sealed interface Jpeg2000Samples {

  /** Others of the same kind, all 0. */
  Jpeg2000Samples another(int length);

  /** Copies one sample to other samples of the same kind. */
  void copy(int from, Jpeg2000Samples other, int to);

  /**
   * Puts a band's number.
   *
   * @param doubled twice its quantized value
   * @param step of the quantizer
   */
  void put(int index, int doubled, float step);

  /** The inverse transform of a line of these samples. */
  void inverse(int length, int odd);

  /** A part of an image: from {@code x0}, {@code y0} up to {@code x1}, {@code y1}. */
  record Area(int x0, int y0, int x1, int y1) {
    int width() {
      return x1 - x0;
    }

    int height() {
      return y1 - y0;
    }

    /** Divided by a power of 2, rounded up. */
    static int up(int value, int bits) {
      return bits > 30 ? value > 0 ? 1 : 0 : (int) ((long) value + (1L << bits) - 1 >> bits);
    }

    /** The same of an image that is half as large so many times. */
    Area reduced(int times) {
      return new Area(up(x0, times), up(y0, times), up(x1, times), up(y1, times));
    }
  }

  /** Puts the bands of a resolution to where the inverse transform wants them. */
  interface Bands {
    void place(int resolution, Area area, Jpeg2000Samples samples);
  }

  /**
   * Composes a component's resolutions, from the lowest.
   *
   * @param none no samples, of the kind that is wanted
   */
  static Jpeg2000Samples compose(Jpeg2000Samples none, int levels, Area tile, Bands bands) {
    Jpeg2000Samples low = none;
    for (int r = 0; r <= levels; r++) {
      Area area = tile.reduced(levels - r);
      Jpeg2000Samples samples = none.another(area.width() * area.height());
      if (r > 0) {
        spread(low, tile.reduced(levels - r + 1), samples, area);
      }
      bands.place(r, area, samples);
      if (r > 0) {
        transform(samples, area);
      }
      low = samples;
    }
    return low;
  }

  /** The lower resolution's samples, to even places of the image. */
  private static void spread(Jpeg2000Samples low, Area from, Jpeg2000Samples samples, Area area) {
    int index = 0;
    for (int y = from.y0; y < from.y1; y++) {
      for (int x = from.x0; x < from.x1; x++) {
        low.copy(index++, samples, (2 * y - area.y0) * area.width() + 2 * x - area.x0);
      }
    }
  }

  private static void transform(Jpeg2000Samples samples, Area area) {
    int width = area.width();
    int height = area.height();
    Jpeg2000Samples line = samples.another(Math.max(width, height));
    for (int y = 0; y < height; y++) {
      line(samples, y * width, 1, line, width, area.x0 & 1);
    }
    for (int x = 0; x < width; x++) {
      line(samples, x, width, line, height, area.y0 & 1);
    }
  }

  private static void line(
      Jpeg2000Samples samples, int from, int stride, Jpeg2000Samples line, int length, int odd) {
    for (int i = 0; i < length; i++) {
      samples.copy(from + i * stride, line, i);
    }
    line.inverse(length, odd);
    for (int i = 0; i < length; i++) {
      line.copy(i, samples, from + i * stride);
    }
  }

  /** Of a reversible wavelet. */
  record Wholes(int[] values) implements Jpeg2000Samples {
    static final Wholes NONE = new Wholes(new int[0]);

    @Override
    public Jpeg2000Samples another(int length) {
      return new Wholes(new int[length]);
    }

    @Override
    public void copy(int from, Jpeg2000Samples other, int to) {
      ((Wholes) other).values[to] = values[from];
    }

    @Override
    public void put(int index, int doubled, float step) {
      values[index] = doubled / 2;
    }

    @Override
    public void inverse(int length, int odd) {
      Jpeg2000Wavelet.reversible(values, length, odd);
    }
  }

  /** Of an irreversible one. */
  record Reals(float[] values) implements Jpeg2000Samples {
    static final Reals NONE = new Reals(new float[0]);

    @Override
    public Jpeg2000Samples another(int length) {
      return new Reals(new float[length]);
    }

    @Override
    public void copy(int from, Jpeg2000Samples other, int to) {
      ((Reals) other).values[to] = values[from];
    }

    @Override
    public void put(int index, int doubled, float step) {
      values[index] = doubled * 0.5f * step;
    }

    @Override
    public void inverse(int length, int odd) {
      Jpeg2000Wavelet.irreversible(values, length, odd);
    }
  }
}
