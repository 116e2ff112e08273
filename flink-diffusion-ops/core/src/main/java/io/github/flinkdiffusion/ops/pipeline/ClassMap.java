/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.Rgb;
import io.github.flinkdiffusion.ops.image.SampleType;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.OptionalInt;
import org.apache.flink.annotation.Internal;

/**
 * What the numbers of a segmentation's samples say: which class each pixel is of.
 *
 * <p>A sample becomes {@link #shares}, of which a mean over an ensemble's samples, or over tiles
 * that overlap, is shares again. That is not true of the samples themselves: the mean of red and
 * blue is the color of a third class, or of none.
 *
 * @param encoding how a sample means a class
 * @param labels names of the classes, by their numbers from 0; 2 to 256
 * @param palette a color for each class: of the samples, if that is the encoding, and for people
 * @param background number of the class that is nothing in particular; empty if every class is
 *     something
 * @param leastPixels of a connected area of a class, so that it counts as something that was found;
 *     1 or more
 * @param certainty that an answer needs so that it has found something; of {@link Encoding#BINARY}
 *     alone
 */
@Internal
public record ClassMap(
    Encoding encoding,
    List<String> labels,
    List<Rgb> palette,
    OptionalInt background,
    int leastPixels,
    MinimumCertainty certainty) {

  /** Classes that there can be: their numbers go into pictures of 8 bits. */
  public static final int MOST_CLASSES = 256;

  /** How a sample means a class. */
  public enum Encoding {
    /** One channel: how likely class 1 is, 0..1. */
    BINARY,
    /** A channel for each class; the greatest one names the class, the first of equal ones. */
    ONE_HOT,
    /** Red, green and blue; the nearest color of the palette names the class. */
    PALETTE
  }

  public ClassMap {
    Objects.requireNonNull(encoding, "encoding");
    labels = List.copyOf(labels);
    palette = List.copyOf(palette);
    Objects.requireNonNull(background, "background");
    int classes = labels.size();
    if (classes < 2 || classes > MOST_CLASSES) {
      throw new IllegalArgumentException(
          "%d classes; 2 to %d are possible".formatted(classes, MOST_CLASSES));
    }
    if (encoding == Encoding.BINARY && classes != 2) {
      throw new IllegalArgumentException("A binary sample of %d classes".formatted(classes));
    }
    if (palette.size() != classes) {
      throw new IllegalArgumentException(
          "%d colors for %d classes".formatted(palette.size(), classes));
    }
    if (encoding == Encoding.PALETTE && new HashSet<>(palette).size() != classes) {
      throw new IllegalArgumentException("Two classes have the same color: " + palette);
    }
    if (background.isPresent() && (background.getAsInt() < 0 || background.getAsInt() >= classes)) {
      throw new IllegalArgumentException(
          "Background is class %d of %d".formatted(background.getAsInt(), classes));
    }
    if (leastPixels < 1) {
      throw new IllegalArgumentException("Areas of at least %d pixels".formatted(leastPixels));
    }
    if (encoding != Encoding.BINARY && !certainty.steps().isEmpty()) {
      throw new IllegalArgumentException("A certainty of samples that are " + encoding);
    }
  }

  /** Areas of any size count, and answers that are not sure. */
  public ClassMap(
      Encoding encoding, List<String> labels, List<Rgb> palette, OptionalInt background) {
    this(encoding, labels, palette, background, 1, MinimumCertainty.NONE);
  }

  /** Something and what is around it: white on black. */
  public static ClassMap binary(String background, String label) {
    return new ClassMap(
        Encoding.BINARY,
        List.of(background, label),
        List.of(new Rgb(0, 0, 0), new Rgb(255, 255, 255)),
        OptionalInt.of(0));
  }

  /**
   * Colors that are well apart, the first one black: those of the PASCAL VOC data set, which many
   * pictures of classes have. A class's number gives its bits to red, green and blue in turn, the
   * lowest ones to the highest bit of each.
   */
  public static List<Rgb> colors(int classes) {
    List<Rgb> colors = new ArrayList<>(classes);
    for (int number = 0; number < classes; number++) {
      int[] bands = new int[3];
      for (int bit = 0; bit < 8; bit++) {
        bands[bit % 3] |= (number >> bit & 1) << (7 - bit / 3);
      }
      colors.add(new Rgb(bands[0], bands[1], bands[2]));
    }
    return List.copyOf(colors);
  }

  /** How many classes there are. */
  public int classes() {
    return labels.size();
  }

  /** Channels of a sample. */
  public int sampleChannels() {
    return switch (encoding) {
      case BINARY -> 1;
      case ONE_HOT -> classes();
      case PALETTE -> 3;
    };
  }

  /** Channels of {@link #shares}. */
  public int shareChannels() {
    return encoding == Encoding.BINARY ? 1 : classes();
  }

  public boolean isBackground(int number) {
    return background.isPresent() && background.getAsInt() == number;
  }

  /**
   * What one sample says of each pixel: of two classes, one channel with how likely class 1 is; of
   * more, a channel for each class, 1 in that of the pixel's class and 0 in all others.
   *
   * @param sample of {@link #sampleChannels} channels, about 0..1
   */
  public Raster shares(Raster sample) {
    if (sample.channels() != sampleChannels()) {
      throw new IllegalArgumentException(
          "%s has not the %d channels of %s".formatted(sample, sampleChannels(), encoding));
    }
    int plane = sample.height() * sample.width();
    float[] shares = new float[shareChannels() * plane];
    for (int i = 0; i < plane; i++) {
      if (encoding == Encoding.BINARY) {
        shares[i] = Math.min(1, Math.max(0, sample.data()[i]));
      } else {
        shares[number(sample.data(), plane, i) * plane + i] = 1;
      }
    }
    return measurements(shareChannels(), sample, shares);
  }

  /**
   * Each pixel in the color of the class with the greatest share: three channels, 0..1.
   *
   * @param shares of more than two classes, a channel for each
   */
  Raster painted(Raster shares) {
    int plane = shares.height() * shares.width();
    float[] colors = new float[3 * plane];
    for (int i = 0; i < plane; i++) {
      Rgb color = palette.get(greatest(shares.data(), plane, i));
      for (int c = 0; c < 3; c++) {
        colors[c * plane + i] = color.band(c);
      }
    }
    return new Raster(3, shares.height(), shares.width(), colors);
  }

  /** The class that a pixel of a sample is of. */
  private int number(float[] sample, int plane, int pixel) {
    return encoding == Encoding.ONE_HOT
        ? greatest(sample, plane, pixel)
        : nearest(sample[pixel], sample[plane + pixel], sample[2 * plane + pixel]);
  }

  private int greatest(float[] channels, int plane, int pixel) {
    int best = 0;
    for (int number = 1; number < classes(); number++) {
      if (channels[number * plane + pixel] > channels[best * plane + pixel]) {
        best = number;
      }
    }
    return best;
  }

  private int nearest(float red, float green, float blue) {
    int best = 0;
    double least = Double.POSITIVE_INFINITY;
    for (int number = 0; number < classes(); number++) {
      double distance = palette.get(number).distance(red, green, blue);
      if (distance < least) {
        best = number;
        least = distance;
      }
    }
    return best;
  }

  private static Raster measurements(int channels, Raster like, float[] values) {
    return new Raster(
        channels,
        like.height(),
        like.width(),
        values,
        PixelFormat.of(Bands.MEASUREMENTS, SampleType.FLOAT32),
        like.metadata());
  }
}
