/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;

/**
 * Images as SmolVLM's vision network takes them: transformers' Idefics3ImageProcessorPil, which
 * resizes as Python's imaging library does. A large image is cut into parts of the network's size,
 * followed by the whole image in that size; without {@code do_image_splitting}, there is the whole
 * image alone.
 */
final class Idefics3Images {
  private static final int CHANNELS = 3;
  private static final int LARGEST_SIDE = 4096;

  private final int longestSide;
  private final int side;
  private final boolean splits;
  private final PilResize.Filter filter;
  private final double scale;
  private final double[] mean;
  private final double[] deviation;

  /**
   * How an image is cut.
   *
   * @param rows of parts; 0 for an image that is not cut
   * @param columns of parts; 0 for an image that is not cut
   */
  record Grid(int rows, int columns) {
    /** With the whole image. */
    int parts() {
      return rows * columns + 1;
    }
  }

  private record Size(int height, int width) {}

  /**
   * @param config a {@code preprocessor_config.json}; missing keys take transformers' defaults
   * @param side pixels of either side of what the network takes ({@code image_size})
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  Idefics3Images(Config config, int side) {
    for (String key : new String[] {"do_resize", "do_rescale", "do_normalize", "do_convert_rgb"}) {
      if (!config.flag(key, true)) {
        throw config.unsupported(key, false, "true");
      }
    }
    this.side = side;
    this.longestSide = longestEdge(config, "size", 4 * 364);
    int most = longestEdge(config, "max_image_size", 364);
    if (most != side) {
      throw config.unsupported(
          "max_image_size", most, "a longest_edge of " + side + ", the network's image_size");
    }
    this.splits = config.flag("do_image_splitting", true);
    int code = config.integer("resample", 1);
    try {
      this.filter = PilResize.Filter.ofCode(code);
    } catch (ImageException e) {
      throw config.unsupported("resample", code, "1 to 5");
    }
    this.scale = config.number("rescale_factor", 1 / 255.0);
    this.mean = perChannel(config, "image_mean");
    this.deviation = perChannel(config, "image_std");
  }

  private static int longestEdge(Config config, String key, int missing) {
    if (!config.has(key)) {
      return missing;
    }
    Config size =
        config
            .section(key)
            .orElseThrow(() -> config.unsupported(key, config.node().get(key), "longest_edge"));
    int edge = size.integer("longest_edge", 0);
    if (edge < 1 || edge > LARGEST_SIDE) {
      throw config.unsupported(key, size.node(), "a longest_edge from 1 to " + LARGEST_SIDE);
    }
    return edge;
  }

  private static double[] perChannel(Config config, String key) {
    double[] values = config.numbers(key, new double[] {0.5, 0.5, 0.5});
    if (values.length != CHANNELS) {
      throw config.unsupported(key, config.node().get(key), "one number for each of 3 channels");
    }
    return values;
  }

  /** Most parts that an image is cut into, with the whole image. */
  int mostParts() {
    int parts = blocks(longestSide);
    return splits && parts > 1 ? parts * parts + 1 : 1;
  }

  /**
   * How an image will be cut.
   *
   * @throws ImageException for an image so narrow that nothing is left of it
   */
  Grid grid(Raster image) {
    if (!splits) {
      return new Grid(0, 0);
    }
    Size whole = inBlocks(resized(image));
    if (whole.height() < 1 || whole.width() < 1) {
      throw new ImageException(
          "Preparing an image of %d x %d pixels: nothing is left of its shorter side when the longer one has %d pixels"
              .formatted(image.width(), image.height(), longestSide));
    }
    int rows = whole.height() / side;
    int columns = whole.width() / side;
    return rows * columns == 1 ? new Grid(0, 0) : new Grid(rows, columns);
  }

  /** The parts of an image, row by row, and the whole image. */
  List<Raster> parts(Raster image) {
    Raster picture = colors(image);
    picture = resize(picture, resized(image));
    List<Raster> parts = new ArrayList<>();
    if (splits) {
      picture = resize(picture, inBlocks(resized(image)));
      Grid grid = grid(image);
      for (int row = 0; row < grid.rows(); row++) {
        for (int column = 0; column < grid.columns(); column++) {
          parts.add(part(picture, row * side, column * side));
        }
      }
    }
    parts.add(resize(picture, new Size(side, side)));
    return parts;
  }

  /** Parts as a batch [N,3,side,side], in the reference's float32. */
  HostTensor.Floats pixels(List<Raster> parts) {
    int pixels = side * side;
    float[] batch = new float[parts.size() * CHANNELS * pixels];
    for (int i = 0; i < parts.size(); i++) {
      float[] data = parts.get(i).data();
      for (int c = 0; c < CHANNELS; c++) {
        float[] levels = new float[256];
        for (int level = 0; level < levels.length; level++) {
          levels[level] = ((float) (level * scale) - (float) mean[c]) / (float) deviation[c];
        }
        int at = (i * CHANNELS + c) * pixels;
        for (int j = 0; j < pixels; j++) {
          batch[at + j] = levels[level(data[c * pixels + j])];
        }
      }
    }
    return new HostTensor.Floats(batch, parts.size(), CHANNELS, side, side);
  }

  /** Gray is taken for all three colors; what is transparent is laid on white, as Pillow does. */
  private static Raster colors(Raster image) {
    int channels = image.channels();
    if (channels == CHANNELS) {
      return image;
    }
    int pixels = image.height() * image.width();
    boolean transparent = channels != 1;
    float[] data = new float[CHANNELS * pixels];
    for (int c = 0; c < CHANNELS; c++) {
      int from = channels < CHANNELS ? 0 : c * pixels;
      for (int i = 0; i < pixels; i++) {
        float value = image.data()[from + i];
        data[c * pixels + i] =
            transparent ? onWhite(value, image.data()[(channels - 1) * pixels + i]) : value;
      }
    }
    return new Raster(CHANNELS, image.height(), image.width(), data);
  }

  /** With Pillow's rounding, in 7 bits more than a level has. */
  private static float onWhite(float value, float alpha) {
    int opaque = level(alpha);
    int sum = (level(value) * opaque + 255 * (255 - opaque) + 128) << 7;
    return ((sum >> 8) + sum >> 8 >> 7) / 255f;
  }

  private static int level(float value) {
    return Math.round(Math.min(Math.max(value, 0), 1) * 255);
  }

  private Raster resize(Raster picture, Size to) {
    return PilResize.resize(picture, to.height(), to.width(), filter);
  }

  /** The size whose longer side is the config's, with its reference's rounding. */
  private Size resized(Raster image) {
    double aspect = (double) image.width() / image.height();
    int width = longestSide;
    int height = longestSide;
    if (image.width() >= image.height()) {
      height = (int) (width / aspect);
      height += height % 2;
    } else {
      width = (int) (height * aspect);
      width += width % 2;
    }
    return new Size(Math.max(height, 1), Math.max(width, 1));
  }

  /** The next size whose sides are multiples of the network's. */
  private Size inBlocks(Size size) {
    double aspect = (double) size.width() / size.height();
    if (size.width() >= size.height()) {
      int width = blocks(size.width()) * side;
      return new Size(blocks((int) (width / aspect)) * side, width);
    }
    int height = blocks(size.height()) * side;
    return new Size(height, blocks((int) (height * aspect)) * side);
  }

  private int blocks(int pixels) {
    return (pixels + side - 1) / side;
  }

  private Raster part(Raster picture, int top, int left) {
    float[] data = new float[CHANNELS * side * side];
    for (int c = 0; c < CHANNELS; c++) {
      for (int y = 0; y < side; y++) {
        int from = (c * picture.height() + top + y) * picture.width() + left;
        System.arraycopy(picture.data(), from, data, (c * side + y) * side, side);
      }
    }
    return new Raster(CHANNELS, side, side, data);
  }
}
