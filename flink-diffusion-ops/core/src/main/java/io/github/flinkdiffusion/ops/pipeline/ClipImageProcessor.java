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
import java.util.List;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * Pictures as CLIP's vision network takes them: transformers' CLIPImageProcessor, from a {@code
 * preprocessor_config.json}. The shorter side is resized as Python's imaging library does, the
 * middle is cut out, and values are normalised with the training data's mean and deviation.
 */
@Internal
public final class ClipImageProcessor {
  /**
   * The names that transformers has had for it, in {@code model_index.json}, which alone says what
   * the component is.
   */
  static final String[] CLASSES = {
    "CLIPImageProcessor", "CLIPFeatureExtractor", "CLIPImageProcessorFast", "CLIPImageProcessorPil"
  };

  private static final int CHANNELS = 3;
  private static final double[] MEAN = {0.48145466, 0.4578275, 0.40821073};
  private static final double[] DEVIATION = {0.26862954, 0.26130258, 0.27577711};

  /** Rows and columns; a resize may give the shorter side alone. */
  private record Size(int height, int width, boolean shorterSide) {}

  private final Optional<Size> resize;
  private final PilResize.Filter filter;
  private final Optional<Size> crop;
  private final double scale;
  private final double[] mean;
  private final double[] deviation;

  /** Pixels of either side of what the network takes. */
  private final int side;

  private ClipImageProcessor(
      Optional<Size> resize,
      PilResize.Filter filter,
      Optional<Size> crop,
      double scale,
      double[] mean,
      double[] deviation,
      int side) {
    this.resize = resize;
    this.filter = filter;
    this.crop = crop;
    this.scale = scale;
    this.mean = mean;
    this.deviation = deviation;
    this.side = side;
  }

  /**
   * Reads a config; missing keys take transformers' defaults.
   *
   * @param side pixels of either side of what the network takes ({@code image_size})
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported, or that makes every image another size than the network takes
   */
  public static ClipImageProcessor from(Config config, int side) {
    return from(config, side, true);
  }

  /** As transformers' BlipImageProcessor: both sides are resized, and nothing is cut out. */
  static ClipImageProcessor blip(Config config, int side) {
    if (config.flag("do_center_crop", false)) {
      throw config.unsupported(
          "do_center_crop", true, "false, as BlipImageProcessor crops nothing");
    }
    return from(config, side, false);
  }

  private static ClipImageProcessor from(Config config, int side, boolean crops) {
    boolean normalises = config.flag("do_normalize", true);
    Optional<Size> resize =
        config.flag("do_resize", true) ? Optional.of(resizeTo(config)) : Optional.empty();
    Optional<Size> crop =
        crops && config.flag("do_center_crop", true)
            ? Optional.of(cropTo(config))
            : Optional.empty();
    checkSide(config, resize, crop, side);
    return new ClipImageProcessor(
        resize,
        filter(config),
        crop,
        // A picture of 255 levels is one of 0..1 times 255.
        config.flag("do_rescale", true) ? 255 * config.number("rescale_factor", 1 / 255.0) : 255,
        normalises ? perChannel(config, "image_mean", MEAN) : new double[CHANNELS],
        normalises ? perChannel(config, "image_std", DEVIATION) : new double[] {1, 1, 1},
        side);
  }

  /** What is cut out last, or resized to both sides, has that size whatever the image's is. */
  private static void checkSide(
      Config config, Optional<Size> resize, Optional<Size> crop, int side) {
    Optional<Size> last = crop.isPresent() ? crop : resize.filter(size -> !size.shorterSide());
    if (last.isPresent() && !last.get().equals(new Size(side, side, false))) {
      String key = crop.isPresent() ? "crop_size" : "size";
      throw config.unsupported(
          key,
          config.has(key) ? config.node().get(key) : "missing",
          "%d x %d, the network's image_size".formatted(side, side));
    }
  }

  private static Size resizeTo(Config config) {
    if (!config.has("size") || config.node().get("size").isNumber()) {
      int side = positive(config, "size", 224);
      return new Size(side, side, true);
    }
    Config size = config.section("size").orElseThrow();
    if (size.has("shortest_edge") && !size.has("longest_edge")) {
      int side = positive(size, "shortest_edge", 0);
      return new Size(side, side, true);
    }
    return heightAndWidth(config, "size", size, "a number, shortest_edge, or height and width");
  }

  private static Size cropTo(Config config) {
    if (!config.has("crop_size") || config.node().get("crop_size").isNumber()) {
      int side = positive(config, "crop_size", 224);
      return new Size(side, side, false);
    }
    Config size = config.section("crop_size").orElseThrow();
    return heightAndWidth(config, "crop_size", size, "a number, or height and width");
  }

  private static Size heightAndWidth(Config config, String key, Config size, String supported) {
    if (!size.has("height") || !size.has("width")) {
      throw config.unsupported(key, size.node(), supported);
    }
    return new Size(positive(size, "height", 0), positive(size, "width", 0), false);
  }

  private static int positive(Config config, String key, int missing) {
    int value = config.integer(key, missing);
    if (value < 1) {
      throw config.unsupported(key, value, "1 or more");
    }
    return value;
  }

  private static PilResize.Filter filter(Config config) {
    int code = config.integer("resample", 3);
    try {
      return PilResize.Filter.ofCode(code);
    } catch (ImageException e) {
      throw config.unsupported("resample", code, "1 to 5");
    }
  }

  private static double[] perChannel(Config config, String key, double[] missing) {
    double[] values = config.numbers(key, missing);
    if (values.length != CHANNELS) {
      throw config.unsupported(key, config.node().get(key), "one number for each of 3 channels");
    }
    return values;
  }

  /**
   * Pictures of 1 to 4 channels, in any sizes, as one batch of [N,3,height,width]. Gray is taken
   * for all three colors; alpha is left out, as transformers does.
   *
   * @throws ImageException for an image that {@link #check} refuses
   */
  public HostTensor.Floats pixels(List<Raster> pictures) {
    int size = CHANNELS * side * side;
    float[] batch = new float[pictures.size() * size];
    for (int i = 0; i < pictures.size(); i++) {
      check(pictures.get(i));
      normalise(framed(pictures.get(i)), batch, i * size);
    }
    return new HostTensor.Floats(batch, pictures.size(), CHANNELS, side, side);
  }

  /**
   * Refuses an image that comes out in another size than the network takes, which only a config
   * without a crop lets happen. transformers' networks refuse it, too.
   *
   * @throws ImageException naming both sizes
   */
  void check(Raster picture) {
    Size prepared =
        crop.or(() -> resize.map(size -> resizedTo(picture, size)))
            .orElseGet(() -> new Size(picture.height(), picture.width(), false));
    if (prepared.height() != side || prepared.width() != side) {
      throw new ImageException(
          "Preparing an image of %d x %d pixels for a network that takes %d x %d: it becomes %d x %d, because the model's preprocessor_config.json cuts nothing off; supported: an image that becomes %d x %d"
              .formatted(
                  picture.width(),
                  picture.height(),
                  side,
                  side,
                  prepared.width(),
                  prepared.height(),
                  side,
                  side));
    }
  }

  private Raster framed(Raster picture) {
    Raster resized = resize.map(size -> resized(picture, size)).orElse(picture);
    return crop.map(size -> cropped(resized, size)).orElse(resized);
  }

  private Raster resized(Raster picture, Size size) {
    Size to = resizedTo(picture, size);
    return PilResize.resize(picture, to.height(), to.width(), filter);
  }

  private static Size resizedTo(Raster picture, Size size) {
    int height = size.height();
    int width = size.width();
    if (size.shorterSide() && picture.height() < picture.width()) {
      width = (int) ((double) ((long) height * picture.width()) / picture.height());
    } else if (size.shorterSide()) {
      height = (int) ((double) ((long) width * picture.height()) / picture.width());
    }
    return new Size(height, width, false);
  }

  /** The middle of a picture; what it lacks is black. */
  private static Raster cropped(Raster picture, Size size) {
    float[] data = new float[picture.channels() * size.height() * size.width()];
    // Of an odd difference the larger half is cut off at the end, and padded at the beginning:
    // both are a division that rounds down.
    int top = Math.floorDiv(picture.height() - size.height(), 2);
    int left = Math.floorDiv(picture.width() - size.width(), 2);
    int at = 0;
    for (int c = 0; c < picture.channels(); c++) {
      for (int y = top; y < top + size.height(); y++) {
        for (int x = left; x < left + size.width(); x++) {
          boolean inside = y >= 0 && y < picture.height() && x >= 0 && x < picture.width();
          data[at++] = inside ? picture.at(c, y, x) : 0;
        }
      }
    }
    return new Raster(picture.channels(), size.height(), size.width(), data);
  }

  private void normalise(Raster picture, float[] batch, int offset) {
    int pixels = picture.height() * picture.width();
    for (int c = 0; c < CHANNELS; c++) {
      int from = picture.channels() < CHANNELS ? 0 : c;
      for (int i = 0; i < pixels; i++) {
        double value = picture.data()[from * pixels + i] * scale;
        batch[offset + c * pixels + i] = (float) ((value - mean[c]) / deviation[c]);
      }
    }
  }
}
