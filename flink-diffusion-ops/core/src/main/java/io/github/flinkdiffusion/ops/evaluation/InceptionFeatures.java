/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.evaluation;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.InceptionV3;
import io.github.flinkdiffusion.ops.pipeline.NetworkLoader;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * What Inception v3 sees in pictures, as torch-fidelity computes it: the features of FID, KID and
 * PRDC, and the values of the Inception Score.
 *
 * <p>Pictures of any size are resized to 299 x 299 as TensorFlow 1 does: bilinear between corners,
 * without antialiasing. Other resizes give other values of FID. One thread at a time.
 */
@Internal
public final class InceptionFeatures implements AutoCloseable {
  /** Rows of a call: some 100 MB of activations. */
  private static final int ROWS = 8;

  private static final float MIDDLE = 128;

  /**
   * Of each picture a row.
   *
   * @param features {@link InceptionV3#FEATURES} numbers
   * @param logits {@link InceptionV3#CLASSES} values before softmax, without the layer's bias
   */
  public record Seen(float[][] features, float[][] logits) {}

  private final Network network;

  private InceptionFeatures(Network network) {
    this.network = network;
  }

  /**
   * Loads the network.
   *
   * @param weights a safetensors file with torch-fidelity's parameter names, or a folder with one
   * @throws io.github.flinkdiffusion.ops.weights.WeightsException for weights that are missing or
   *     have other shapes
   */
  public static InceptionFeatures open(Path weights, DeviceSpec device) {
    try (TensorStore store = WeightFile.open(weights)) {
      return new InceptionFeatures(
          new NetworkLoader(device, Precision.FLOAT32)
              .load("inception", InceptionV3.graph(), store));
    }
  }

  /**
   * @param pictures of any sizes
   * @throws io.github.flinkdiffusion.ops.image.ImageException for a picture of more than 4 channels
   */
  public Seen see(List<Raster> pictures) {
    float[][] features = new float[pictures.size()][];
    float[][] logits = new float[pictures.size()][];
    for (int from = 0; from < pictures.size(); from += ROWS) {
      List<Raster> part = pictures.subList(from, Math.min(from + ROWS, pictures.size()));
      float[] rows = network.call(InceptionV3.FORWARD, pixels(part)).data();
      int width = InceptionV3.FEATURES + InceptionV3.CLASSES;
      for (int i = 0; i < part.size(); i++) {
        int at = i * width;
        features[from + i] = Arrays.copyOfRange(rows, at, at + InceptionV3.FEATURES);
        logits[from + i] = Arrays.copyOfRange(rows, at + InceptionV3.FEATURES, at + width);
      }
    }
    return new Seen(features, logits);
  }

  private static HostTensor.Floats pixels(List<Raster> pictures) {
    int side = InceptionV3.SIDE;
    int size = Levels.CHANNELS * side * side;
    float[] batch = new float[pictures.size() * size];
    for (int i = 0; i < pictures.size(); i++) {
      Raster picture = pictures.get(i);
      float[] levels = Levels.of(picture);
      for (int c = 0; c < Levels.CHANNELS; c++) {
        resize(
            levels,
            c * picture.height() * picture.width(),
            picture.height(),
            picture.width(),
            batch,
            i * size + c * side * side);
      }
    }
    return new HostTensor.Floats(batch, pictures.size(), Levels.CHANNELS, side, side);
  }

  /** In the order of operations, and the precision, of torch-fidelity's copy of TensorFlow 1. */
  private static void resize(float[] from, int start, int height, int width, float[] to, int at) {
    int side = InceptionV3.SIDE;
    float down = (float) ((double) height / side);
    float across = (float) ((double) width / side);
    for (int y = 0; y < side; y++) {
      float row = y * down;
      int upper = start + (int) row * width;
      int lower = start + Math.min((int) row + 1, height - 1) * width;
      float below = row - (int) row;
      for (int x = 0; x < side; x++) {
        float column = x * across;
        int left = (int) column;
        int right = Math.min(left + 1, width - 1);
        float beside = column - left;
        float first = from[upper + left] + (from[upper + right] - from[upper + left]) * beside;
        float second = from[lower + left] + (from[lower + right] - from[lower + left]) * beside;
        float value = first + (second - first) * below;
        to[at + y * side + x] = (value - MIDDLE) / MIDDLE;
      }
    }
  }

  @Override
  public void close() {
    network.close();
  }
}
