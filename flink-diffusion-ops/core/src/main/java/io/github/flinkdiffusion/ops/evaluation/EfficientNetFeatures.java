/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.evaluation;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.EfficientNetLite;
import io.github.flinkdiffusion.ops.pipeline.NetworkLoader;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * What EfficientNet-Lite0 sees in pictures: features for KID and PRDC where Inception's weights
 * cannot be had. Their values are not comparable with Inception's.
 *
 * <p>Pictures of any size are resized to 224 x 224 as Pillow does, bicubic. One thread at a time.
 */
@Internal
public final class EfficientNetFeatures implements AutoCloseable {
  /** As cards and reports call it. */
  public static final String NAME = "EfficientNet-Lite0";

  private static final int ROWS = 8;
  private static final float WHITE = 255;
  private static final float MIDDLE = 127;
  private static final float RANGE = 128;

  private final Network network;

  private EfficientNetFeatures(Network network) {
    this.network = network;
  }

  /**
   * Loads the network.
   *
   * @param weights a safetensors file with the parameter names of efficientnet-lite-pytorch, or a
   *     folder with one
   * @throws io.github.flinkdiffusion.ops.weights.WeightsException for weights that are missing or
   *     have other shapes
   */
  public static EfficientNetFeatures open(Path weights, DeviceSpec device) {
    try (TensorStore store = WeightFile.open(weights)) {
      return open(store, device);
    }
  }

  /** As {@link #open(Path, DeviceSpec)}; the weights may be closed afterwards. */
  public static EfficientNetFeatures open(TensorStore weights, DeviceSpec device) {
    return new EfficientNetFeatures(
        new NetworkLoader(device, Precision.FLOAT32)
            .load("efficientnet", EfficientNetLite.graph(), weights));
  }

  /**
   * @param pictures of any sizes
   * @return {@link EfficientNetLite#FEATURES} numbers of each
   * @throws io.github.flinkdiffusion.ops.image.ImageException for a picture of more than 4 channels
   */
  public float[][] of(List<Raster> pictures) {
    float[][] features = new float[pictures.size()][];
    for (int from = 0; from < features.length; from += ROWS) {
      List<Raster> part = pictures.subList(from, Math.min(from + ROWS, features.length));
      float[] rows = network.call(EfficientNetLite.FORWARD, pixels(part)).data();
      for (int i = 0; i < part.size(); i++) {
        int at = i * EfficientNetLite.FEATURES;
        features[from + i] = Arrays.copyOfRange(rows, at, at + EfficientNetLite.FEATURES);
      }
    }
    return features;
  }

  private static HostTensor.Floats pixels(List<Raster> pictures) {
    int side = EfficientNetLite.SIDE;
    int size = Levels.CHANNELS * side * side;
    float[] batch = new float[pictures.size() * size];
    for (int i = 0; i < pictures.size(); i++) {
      float[] levels = resized(pictures.get(i));
      for (int j = 0; j < size; j++) {
        batch[i * size + j] = (levels[j] - MIDDLE) / RANGE;
      }
    }
    return new HostTensor.Floats(batch, pictures.size(), Levels.CHANNELS, side, side);
  }

  private static float[] resized(Raster picture) {
    float[] levels = Levels.of(picture);
    for (int i = 0; i < levels.length; i++) {
      levels[i] /= WHITE;
    }
    Raster colors = new Raster(Levels.CHANNELS, picture.height(), picture.width(), levels);
    int side = EfficientNetLite.SIDE;
    return Levels.of(PilResize.resize(colors, side, side, PilResize.Filter.BICUBIC));
  }

  @Override
  public void close() {
    network.close();
  }
}
