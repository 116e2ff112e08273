/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import io.github.flinkdiffusion.ops.image.FloatResize;
import io.github.flinkdiffusion.ops.image.Georeference;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.Window;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.random.RandomGenerator;
import javax.imageio.ImageIO;

/**
 * NASA's Blue Marble, 4096 x 2048 pixels in plate carree, as the sensor sees it and as it is. Ten
 * regions are never trained on.
 */
final class BlueMarble implements DenoiserTraining.Examples {
  /** Training crops keep this far from held-out regions, in pixels. */
  private static final int MARGIN = 16;

  /** Deviation of the residual below which a crop is featureless. */
  private static final double FEATURELESS = 0.06;

  /** Share of featureless crops (open sea, ice) that is trained on all the same. */
  private static final double FEATURELESS_SHARE = 0.4;

  /** Crops lie between these sines of latitude: near the poles, pixels are stretched to nothing. */
  private static final double HIGHEST_SINE = 0.95;

  /**
   * A square that is held out.
   *
   * @param name what it shows
   * @param x of its left, a multiple of 4
   * @param y of its top, a multiple of 4
   */
  record Region(String name, int x, int y) {
    static final int SIDE = 256;

    boolean touches(int left, int top, int side) {
      return left < x + SIDE + MARGIN
          && left + side > x - MARGIN
          && top < y + SIDE + MARGIN
          && top + side > y - MARGIN;
    }
  }

  static final List<Region> HELD_OUT =
      List.of(
          new Region("Alps to Libya", 2048, 448),
          new Region("Himalaya and Burma", 3000, 640),
          new Region("Eastern United States", 1000, 520),
          new Region("Amazon", 1280, 1000),
          new Region("East Africa", 2304, 1100),
          new Region("South-east Australia", 3500, 1348),
          new Region("Andes and Plata", 1200, 1300),
          new Region("Borneo and Java", 3248, 1000),
          new Region("Rocky Mountains", 700, 500),
          new Region("Central Asia", 2700, 400));

  private final Raster scene;
  private final Raster seen;
  private final Raster enlarged;

  private BlueMarble(Raster scene) {
    this.scene = scene;
    this.seen = Sensor.look(scene);
    this.enlarged =
        FloatResize.resize(seen, scene.height(), scene.width(), PilResize.Filter.BICUBIC);
  }

  /**
   * @param file example/img/earth-blue-marble.jpg of the npm package three-globe
   */
  static BlueMarble open(Path file) throws IOException {
    BufferedImage image = ImageIO.read(file.toFile());
    if (image == null) {
      throw new IOException(file + " is not an image that Java can read.");
    }
    int width = image.getWidth();
    int height = image.getHeight();
    if (width != 4096 || height != 2048) {
      throw new IOException(
          file + " is %d x %d pixels; Blue Marble is 4096 x 2048.".formatted(width, height));
    }
    float[] data = new float[3 * height * width];
    int[] row = new int[width];
    for (int y = 0; y < height; y++) {
      image.getRGB(0, y, width, 1, row, 0, width);
      for (int x = 0; x < width; x++) {
        for (int c = 0; c < 3; c++) {
          data[(c * height + y) * width + x] = ((row[x] >> (16 - 8 * c)) & 0xFF) / 255f;
        }
      }
    }
    return new BlueMarble(new Raster(3, height, width, data));
  }

  /** A region as it is. */
  Raster truth(Region region) {
    return crop(scene, region.x(), region.y(), Region.SIDE);
  }

  /** A part of a region, as it is, at its place on Earth in degrees (EPSG 4326). */
  Raster scene(Region region, Window part) {
    double degrees = 360.0 / scene.width();
    return truth(region)
        .withMetadata(
            ImageMetadata.NONE.withGeoreference(
                Georeference.northUp(
                    4326, region.x() * degrees - 180, 90 - region.y() * degrees, degrees)))
        .crop(part);
  }

  /** A region as the sensor sees it, a quarter as wide and high. */
  Raster seen(Region region) {
    int factor = MiniSatelliteModel.FACTOR;
    return crop(seen, region.x() / factor, region.y() / factor, Region.SIDE / factor);
  }

  private static Raster crop(Raster picture, int left, int top, int side) {
    float[] data = new float[picture.channels() * side * side];
    for (int c = 0; c < picture.channels(); c++) {
      for (int y = 0; y < side; y++) {
        System.arraycopy(
            picture.data(),
            (c * picture.height() + top + y) * picture.width() + left,
            data,
            (c * side + y) * side,
            side);
      }
    }
    return new Raster(picture.channels(), side, side, data);
  }

  @Override
  public int targetChannels() {
    return 3;
  }

  @Override
  public int conditionChannels() {
    return 3;
  }

  @Override
  public int height() {
    return MiniSatelliteModel.SIDE;
  }

  @Override
  public int width() {
    return MiniSatelliteModel.SIDE;
  }

  /** A crop uniform over the globe's area, turned and mirrored at random. */
  @Override
  public void draw(
      RandomGenerator random, float[] target, int targetAt, float[] condition, int conditionAt) {
    int side = MiniSatelliteModel.SIDE;
    int factor = MiniSatelliteModel.FACTOR;
    while (true) {
      int left = factor * random.nextInt((scene.width() - side) / factor + 1);
      double latitude = Math.asin(HIGHEST_SINE * (2 * random.nextDouble() - 1));
      int middle = (int) ((0.5 - latitude / Math.PI) * scene.height());
      int top = Math.max(0, Math.min(scene.height() - side, middle - side / 2));
      top -= top % factor;
      boolean heldOut = false;
      for (Region region : HELD_OUT) {
        heldOut |= region.touches(left, top, side);
      }
      if (heldOut) {
        continue;
      }
      fill(random.nextInt(8), left, top, target, targetAt, condition, conditionAt);
      if (deviation(target, targetAt) >= FEATURELESS || random.nextDouble() < FEATURELESS_SHARE) {
        return;
      }
    }
  }

  private void fill(
      int symmetry,
      int left,
      int top,
      float[] target,
      int targetAt,
      float[] condition,
      int conditionAt) {
    int side = MiniSatelliteModel.SIDE;
    for (int y = 0; y < side; y++) {
      for (int x = 0; x < side; x++) {
        int a = (symmetry & 1) == 0 ? x : side - 1 - x;
        int b = (symmetry & 2) == 0 ? y : side - 1 - y;
        int sourceX = left + ((symmetry & 4) == 0 ? a : b);
        int sourceY = top + ((symmetry & 4) == 0 ? b : a);
        for (int c = 0; c < 3; c++) {
          int from = (c * scene.height() + sourceY) * scene.width() + sourceX;
          int to = (c * side + y) * side + x;
          condition[conditionAt + to] = 2 * enlarged.data()[from] - 1;
          target[targetAt + to] =
              (float)
                  (2
                      * MiniSatelliteModel.RESIDUAL_SCALE
                      * (scene.data()[from] - enlarged.data()[from]));
        }
      }
    }
  }

  private static double deviation(float[] values, int from) {
    int n = 3 * MiniSatelliteModel.SIDE * MiniSatelliteModel.SIDE;
    double squares = 0;
    for (int i = 0; i < n; i++) {
      squares += (double) values[from + i] * values[from + i];
    }
    return Math.sqrt(squares / n);
  }
}
