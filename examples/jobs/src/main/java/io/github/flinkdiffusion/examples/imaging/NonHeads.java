/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import io.github.flinkdiffusion.examples.scenes.IconSet;
import io.github.flinkdiffusion.ops.image.FloatResize;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.random.RandomGenerator;
import java.util.stream.Stream;

/**
 * Pictures in which no brain is, to learn that there may be none: parts of photographs, drawings of
 * things, noise of any grain, gradients, discs with or without a rim, and {@link Lookalikes}.
 */
final class NonHeads {
  /** A side at which a photograph is kept; parts of it are enlarged by no more than that. */
  private static final int MOST_SIDE = 512;

  private static final int DISCS = 4;

  /** A side at which drawings are kept. */
  private static final int DRAWING_SIDE = 128;

  private final List<Raster> photographs;

  /** Gray and opacity. */
  private final List<Raster> drawings;

  NonHeads(List<Raster> photographs, List<Raster> drawings) {
    this.photographs = List.copyOf(photographs);
    this.drawings = List.copyOf(drawings);
  }

  /** So many drawings of a set, by name, evenly chosen from all of its names. */
  static Map<String, Raster> drawings(Path icons, int count) throws IOException {
    IconSet set = IconSet.open(icons);
    List<String> names = List.copyOf(set.names());
    Map<String, Raster> drawings = new TreeMap<>();
    for (int i = 0; i < count; i++) {
      String name = names.get((int) ((long) i * names.size() / count));
      drawings.put(name, grayAndOpacity(set.draw(name, DRAWING_SIDE)));
    }
    return drawings;
  }

  private static Raster grayAndOpacity(BufferedImage drawing) {
    int plane = drawing.getWidth() * drawing.getHeight();
    float[] data = new float[2 * plane];
    for (int i = 0; i < plane; i++) {
      int argb = drawing.getRGB(i % drawing.getWidth(), i / drawing.getWidth());
      data[i] = ((argb >> 16 & 0xFF) + (argb >> 8 & 0xFF) + (argb & 0xFF)) / (3 * 255f);
      data[plane + i] = (argb >>> 24) / 255f;
    }
    return new Raster(2, drawing.getHeight(), drawing.getWidth(), data);
  }

  /**
   * A drawing on an even ground.
   *
   * @param share of the picture's shorter side that it takes
   */
  static Raster placed(
      Raster drawing, float ground, double share, double x, double y, int height, int width) {
    double side = share * Math.min(height, width);
    double left = x * (width - side);
    double top = y * (height - side);
    double scale = drawing.width() / side;
    float[] data = new float[height * width];
    Raster gray = channel(drawing, 0);
    Raster opacity = channel(drawing, 1);
    for (int row = 0; row < height; row++) {
      for (int column = 0; column < width; column++) {
        double sourceX = (column + 0.5 - left) * scale - 0.5;
        double sourceY = (row + 0.5 - top) * scale - 0.5;
        double covered = SliceVariation.bilinear(opacity, sourceX, sourceY);
        double value = SliceVariation.bilinear(gray, sourceX, sourceY);
        data[row * width + column] = (float) (covered * value + (1 - covered) * ground);
      }
    }
    return new Raster(1, height, width, data);
  }

  private static Raster channel(Raster picture, int channel) {
    int plane = picture.height() * picture.width();
    return new Raster(
        1,
        picture.height(),
        picture.width(),
        Arrays.copyOfRange(picture.data(), channel * plane, (channel + 1) * plane));
  }

  /** The pictures of a folder and those below it, gray, by their path in it. */
  static Map<String, Raster> read(Path folder) throws IOException {
    Map<String, Raster> pictures = new TreeMap<>();
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.filter(Files::isRegularFile).sorted().toList()) {
        pictures.put(
            folder.relativize(file).toString(), gray(Images.read(file, ReadOptions.DEFAULT)));
      }
    }
    return pictures;
  }

  /** A mean of the channels, no larger than {@value #MOST_SIDE} pixels a side. */
  static Raster gray(Raster picture) {
    int channels = Math.min(3, picture.channels());
    int plane = picture.height() * picture.width();
    float[] gray = new float[plane];
    for (int i = 0; i < channels * plane; i++) {
      gray[i % plane] += picture.data()[i] / channels;
    }
    Raster whole = new Raster(1, picture.height(), picture.width(), gray);
    double shrink = (double) MOST_SIDE / Math.max(picture.height(), picture.width());
    return shrink >= 1
        ? whole
        : FloatResize.resize(
            whole,
            Math.max(1, (int) (shrink * picture.height())),
            Math.max(1, (int) (shrink * picture.width())),
            PilResize.Filter.BILINEAR);
  }

  Raster draw(RandomGenerator random, int height, int width) {
    int kind = random.nextInt(10);
    if (kind >= 6) {
      return lookalike(random, height, width);
    }
    if (kind >= 4 && !drawings.isEmpty()) {
      return drawn(random, height, width);
    }
    if (kind >= 2 && !photographs.isEmpty()) {
      return part(random, photographs.get(random.nextInt(photographs.size())));
    }
    return switch (random.nextInt(3)) {
      case 0 -> noise(random, height, width);
      case 1 -> discs(random, height, width, false);
      default -> discs(random, height, width, true);
    };
  }

  /** On black, noise or a photograph, and filled with one of the latter two. */
  private Raster lookalike(RandomGenerator random, int height, int width) {
    Raster ground =
        random.nextBoolean() ? Raster.filled(1, height, width, 0) : surface(random, height, width);
    return Lookalikes.draw(random, ground, surface(random, height, width), height, width);
  }

  private Raster surface(RandomGenerator random, int height, int width) {
    if (photographs.isEmpty() || random.nextBoolean()) {
      return noise(random, height, width);
    }
    Raster part = part(random, photographs.get(random.nextInt(photographs.size())));
    return FloatResize.resize(part, height, width, PilResize.Filter.BILINEAR);
  }

  private Raster drawn(RandomGenerator random, int height, int width) {
    Raster drawing = drawings.get(random.nextInt(drawings.size()));
    float ground = random.nextBoolean() ? 0 : random.nextFloat();
    double share = 0.4 + 0.8 * random.nextDouble();
    return placed(drawing, ground, share, random.nextDouble(), random.nextDouble(), height, width);
  }

  /** A part of a picture, a fifth of it to the whole. */
  private static Raster part(RandomGenerator random, Raster picture) {
    double share = 0.2 + 0.8 * random.nextDouble();
    int height = Math.max(1, (int) (share * picture.height()));
    int width = Math.max(1, (int) (share * picture.width()));
    int top = random.nextInt(picture.height() - height + 1);
    int left = random.nextInt(picture.width() - width + 1);
    boolean negative = random.nextInt(4) == 0;
    float[] data = new float[height * width];
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        float value = picture.at(0, top + y, left + x);
        data[y * width + x] = negative ? 1 - value : value;
      }
    }
    return new Raster(1, height, width, data);
  }

  /** Gaussian noise of one grain over a gradient, or either alone. */
  private static Raster noise(RandomGenerator random, int height, int width) {
    int grain = 1 << random.nextInt(6);
    float[] coarse = new float[(height / grain + 1) * (width / grain + 1)];
    double strength = 0.3 * random.nextInt(3) * random.nextDouble();
    for (int i = 0; i < coarse.length; i++) {
      coarse[i] = (float) (strength * random.nextGaussian());
    }
    Raster small = new Raster(1, height / grain + 1, width / grain + 1, coarse);
    double level = random.nextDouble();
    double slopeX = 2 * random.nextDouble() - 1;
    double slopeY = 2 * random.nextDouble() - 1;
    float[] data = new float[height * width];
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        double value =
            level
                + slopeX * ((double) x / width - 0.5)
                + slopeY * ((double) y / height - 0.5)
                + SliceVariation.bilinear(small, (double) x / grain, (double) y / grain);
        data[y * width + x] = (float) Math.max(0, Math.min(1, value));
      }
    }
    return new Raster(1, height, width, data);
  }

  /** Ellipses over a ground; one with a rim, or several without. */
  private static Raster discs(RandomGenerator random, int height, int width, boolean rim) {
    float[] data = new float[height * width];
    float ground = random.nextBoolean() ? 0 : (float) random.nextDouble();
    Arrays.fill(data, ground);
    int count = rim ? 1 : 1 + random.nextInt(DISCS);
    List<double[]> ellipses = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      double size = rim ? 0.25 + 0.25 * random.nextDouble() : 0.05 + 0.4 * random.nextDouble();
      double[] ellipse = {
        0.5 + (rim ? 0.1 : 0.7) * (random.nextDouble() - 0.5),
        0.5 + (rim ? 0.1 : 0.7) * (random.nextDouble() - 0.5),
        size,
        size * (0.7 + 0.6 * random.nextDouble()),
        random.nextDouble()
      };
      ellipses.add(ellipse);
      if (rim) {
        double thickness = 0.7 + 0.25 * random.nextDouble();
        ellipses.add(
            new double[] {
              ellipse[0],
              ellipse[1],
              ellipse[2] * thickness,
              ellipse[3] * thickness,
              random.nextDouble() * random.nextDouble()
            });
      }
    }
    for (double[] ellipse : ellipses) {
      for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
          double u = ((double) x / width - ellipse[0]) / ellipse[2];
          double v = ((double) y / height - ellipse[1]) / ellipse[3];
          if (u * u + v * v < 1) {
            data[y * width + x] = (float) ellipse[4];
          }
        }
      }
    }
    return new Raster(1, height, width, data);
  }
}
