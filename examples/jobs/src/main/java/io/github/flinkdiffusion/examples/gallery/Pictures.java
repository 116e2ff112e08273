/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.FloatResize;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.ImageLimits;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.SampleType;
import java.util.Arrays;
import java.util.concurrent.Semaphore;

/**
 * Image files of any kind as PNG files that a browser shows: 8 bits, no texts, and at most so many
 * pixels a side.
 */
final class Pictures {
  /** Decoded at once; each takes up to 16 bytes a pixel. */
  private static final int AT_ONCE = 2;

  private static final int MOST_SIDE = 16_384;
  private static final long MOST_PIXELS = 12_000_000;

  /** Share of measurements that are shown as more than black and less than white. */
  private static final double SHOWN_SHARE = 0.01;

  /** A color for each class of a mask but the first, which is the background. */
  private static final int[][] CLASS_COLORS = {
    {239, 68, 68}, {59, 130, 246}, {16, 185, 129}, {245, 158, 11},
    {168, 85, 247}, {6, 182, 212}, {236, 72, 153}, {132, 204, 22}
  };

  private static final ReadOptions READ =
      ReadOptions.DEFAULT.withLimits(ImageLimits.DEFAULT.withPixels(MOST_SIDE, MOST_PIXELS));

  private final Semaphore places = new Semaphore(AT_ONCE);

  private interface Work<T> {
    T done();
  }

  /** The file as people see it. */
  byte[] shown(byte[] file, int page, int mostSide) throws Refusal {
    return inTurn(() -> PngCodec.encode(shrunk(visible(read(file, page)), mostSide)));
  }

  /** The same before it is a file, for sheets. */
  Raster raster(byte[] file, int page, int mostSide) throws Refusal {
    return inTurn(() -> shrunk(visible(read(file, page)), mostSide));
  }

  /** The classes of a mask in colors; the background is transparent. */
  byte[] mask(byte[] file, int mostSide) throws Refusal {
    return inTurn(() -> PngCodec.encode(shrunk(painted(read(file, 0)), mostSide)));
  }

  /** An uncertainty from transparent to yellow; its largest values are opaque. */
  byte[] uncertainty(byte[] file, int mostSide) throws Refusal {
    return inTurn(() -> PngCodec.encode(shrunk(heat(read(file, 0)), mostSide)));
  }

  private <T> T inTurn(Work<T> work) throws Refusal {
    try {
      places.acquire();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new Refusal(503, "The gallery is closing.");
    }
    try {
      return work.done();
    } catch (ImageException e) {
      throw new Refusal(422, "The image cannot be shown: " + e.getMessage());
    } finally {
      places.release();
    }
  }

  private static Raster read(byte[] file, int page) {
    return Images.read(file, page == 0 ? READ : READ.withPage(page));
  }

  private static Raster visible(Raster image) {
    int channels = image.channels();
    if (image.format().bands() != Bands.MEASUREMENTS && channels <= 4) {
      return plain(channels, image, image.data());
    }
    int shown = channels >= 3 ? 3 : 1;
    int plane = image.height() * image.width();
    float[] values = new float[shown * plane];
    for (int c = 0; c < shown; c++) {
      stretch(image.data(), c * plane, plane, values);
    }
    return plain(shown, image, values);
  }

  private static Raster plain(int channels, Raster like, float[] values) {
    return new Raster(channels, like.height(), like.width(), values).storedAs(SampleType.UINT8);
  }

  private static void stretch(float[] from, int begin, int length, float[] to) {
    float[] sorted = new float[length];
    int finite = 0;
    for (int i = 0; i < length; i++) {
      if (Float.isFinite(from[begin + i])) {
        sorted[finite++] = from[begin + i];
      }
    }
    Arrays.sort(sorted, 0, finite);
    float low = finite == 0 ? 0 : sorted[(int) (SHOWN_SHARE * (finite - 1))];
    float high = finite == 0 ? 1 : sorted[(int) ((1 - SHOWN_SHARE) * (finite - 1))];
    float range = high > low ? high - low : 1;
    for (int i = 0; i < length; i++) {
      float value = (from[begin + i] - low) / range;
      to[begin + i] = Float.isFinite(value) ? Math.max(0, Math.min(1, value)) : 0;
    }
  }

  private static Raster shrunk(Raster image, int mostSide) {
    int side = Math.max(image.width(), image.height());
    if (side <= mostSide) {
      return image;
    }
    int width = Math.max(1, (int) ((long) image.width() * mostSide / side));
    int height = Math.max(1, (int) ((long) image.height() * mostSide / side));
    return FloatResize.resize(image, height, width, PilResize.Filter.BILINEAR)
        .storedAs(SampleType.UINT8);
  }

  private static Raster painted(Raster mask) {
    int plane = mask.height() * mask.width();
    float[] values = new float[4 * plane];
    float[] data = mask.data();
    boolean color = mask.channels() >= 3;
    boolean binary = !color && isBinary(data, plane);
    for (int i = 0; i < plane; i++) {
      if (color) {
        boolean background = data[i] + data[plane + i] + data[2 * plane + i] == 0;
        for (int c = 0; c < 3; c++) {
          values[c * plane + i] = data[c * plane + i];
        }
        values[3 * plane + i] = background ? 0 : 1;
      } else {
        int number = binary ? (data[i] >= 0.5f ? 1 : 0) : Math.round(data[i] * 255);
        int[] paint = CLASS_COLORS[Math.floorMod(number - 1, CLASS_COLORS.length)];
        for (int c = 0; c < 3; c++) {
          values[c * plane + i] = paint[c] / 255f;
        }
        values[3 * plane + i] = number == 0 ? 0 : 1;
      }
    }
    return plain(4, mask, values);
  }

  /** Black and white, or shares between them: then a half decides. */
  private static boolean isBinary(float[] data, int plane) {
    boolean[] seen = new boolean[256];
    int kinds = 0;
    for (int i = 0; i < plane; i++) {
      int level = Math.max(0, Math.min(255, Math.round(data[i] * 255)));
      if (!seen[level]) {
        seen[level] = true;
        kinds++;
      }
    }
    return kinds <= 2 && !seen[1] || kinds > 64;
  }

  private static Raster heat(Raster uncertainty) {
    int plane = uncertainty.height() * uncertainty.width();
    float[] data = uncertainty.data();
    float[] sorted = Arrays.copyOf(data, plane);
    Arrays.sort(sorted);
    float white = Math.max(1e-6f, sorted[(int) ((1 - SHOWN_SHARE) * (plane - 1))]);
    float[] values = new float[4 * plane];
    for (int i = 0; i < plane; i++) {
      float share = Math.max(0, Math.min(1, data[i] / white));
      values[i] = 1;
      values[plane + i] = 0.25f + 0.6f * share;
      values[2 * plane + i] = 0.1f;
      values[3 * plane + i] = share;
    }
    return plain(4, uncertainty, values);
  }
}
