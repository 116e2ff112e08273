/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.evaluation;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.PerceptualNetwork;
import io.github.flinkdiffusion.ops.pipeline.NetworkLoader;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * How different pictures look: LPIPS, as the package lpips computes it. 0 for equal pictures.
 *
 * <p>Between an enlargement and the truth it is an error; between pictures of one prompt and
 * several seeds it is their diversity, which is near 0 for a model that has collapsed. One thread
 * at a time.
 */
@Internal
public final class PerceptualDistance implements AutoCloseable {
  /** Of both pictures of all pairs of a call, in pixels: some 600 MB of activations for VGG. */
  private static final int PIXELS = 1 << 20;

  private final PerceptualNetwork kind;
  private final Network network;

  private PerceptualDistance(PerceptualNetwork kind, Network network) {
    this.kind = kind;
    this.network = network;
  }

  /**
   * Loads AlexNet or VGG 16, whichever the weights are of.
   *
   * @param weights a safetensors file with lpips' parameter names, or a folder with one
   * @throws WeightsException for weights of another network, or that are missing or have other
   *     shapes
   */
  public static PerceptualDistance open(Path weights, DeviceSpec device) {
    try (TensorStore store = WeightFile.open(weights)) {
      PerceptualNetwork kind = kind(store);
      return new PerceptualDistance(
          kind, new NetworkLoader(device, Precision.FLOAT32).load("lpips", kind.graph(), store));
    }
  }

  private static PerceptualNetwork kind(TensorStore store) {
    return Arrays.stream(PerceptualNetwork.values())
        .filter(kind -> store.contains(kind.lastWeight()))
        .findFirst()
        .orElseThrow(
            () ->
                new WeightsException(
                    "Weights %s: these are not LPIPS weights of alex (which have a tensor %s) or vgg (%s)"
                        .formatted(
                            store.source(),
                            PerceptualNetwork.ALEX.lastWeight(),
                            PerceptualNetwork.VGG.lastWeight())));
  }

  /** What the weights are of. */
  public PerceptualNetwork kind() {
    return kind;
  }

  /**
   * The distance of each pair.
   *
   * @throws ImageException if there are not as many, a pair differs in size, or a picture is
   *     smaller than the network takes or has more than 4 channels
   */
  public double[] between(List<Raster> first, List<Raster> second) {
    if (first.size() != second.size()) {
      throw new ImageException(
          "Comparing %d images with %d; equally many are needed"
              .formatted(first.size(), second.size()));
    }
    double[] distances = new double[first.size()];
    int done = 0;
    while (done < distances.length) {
      int end = endOfCall(first, second, done);
      float[] part =
          network
              .call(
                  PerceptualNetwork.FORWARD,
                  pixels(first.subList(done, end)),
                  pixels(second.subList(done, end)))
              .data();
      for (int i = 0; i < part.length; i++) {
        distances[done + i] = part[i];
      }
      done = end;
    }
    return distances;
  }

  /**
   * The mean distance of all pairs of pictures of one set, as of one prompt's seeds: their
   * diversity.
   *
   * @throws ImageException if there are fewer than two, or as {@link #between}
   */
  public double meanPairwise(List<Raster> pictures) {
    int count = pictures.size();
    if (count < 2) {
      throw new ImageException(
          "The mean distance of %d images; at least 2 are needed".formatted(count));
    }
    double sum = 0;
    for (int i = 1; i < count; i++) {
      // A picture with each one before it.
      Raster[] same = new Raster[i];
      Arrays.fill(same, pictures.get(i));
      sum += Arrays.stream(between(List.of(same), pictures.subList(0, i))).sum();
    }
    return sum / (count * (count - 1L) / 2);
  }

  /** Pairs of the same size that follow each other, as many as the memory allows. */
  private int endOfCall(List<Raster> first, List<Raster> second, int from) {
    Raster of = first.get(from);
    int end = from;
    long pixels = 2L * of.height() * of.width();
    while (end < first.size()
        && first.get(end).height() == of.height()
        && first.get(end).width() == of.width()
        && (end == from || (end - from + 1) * pixels <= PIXELS)) {
      requireComparable(first.get(end), second.get(end));
      end++;
    }
    return end;
  }

  private void requireComparable(Raster first, Raster second) {
    if (first.height() != second.height() || first.width() != second.width()) {
      throw new ImageException(
          "The perceptual distance of images of %d x %d and %d x %d pixels; both must have the same size"
              .formatted(first.width(), first.height(), second.width(), second.height()));
    }
    if (Math.min(first.height(), first.width()) < kind.leastSide()) {
      throw new ImageException(
          "The perceptual distance of images of %d x %d pixels; %s needs sides of at least %d"
              .formatted(first.width(), first.height(), kind, kind.leastSide()));
    }
  }

  /** From -1 to 1. */
  private static HostTensor.Floats pixels(List<Raster> pictures) {
    Raster of = pictures.get(0);
    int size = Levels.CHANNELS * of.height() * of.width();
    float[] batch = new float[Math.multiplyExact(pictures.size(), size)];
    for (int i = 0; i < pictures.size(); i++) {
      float[] levels = Levels.of(pictures.get(i));
      for (int k = 0; k < size; k++) {
        batch[i * size + k] = levels[k] / 127.5f - 1;
      }
    }
    return new HostTensor.Floats(batch, pictures.size(), Levels.CHANNELS, of.height(), of.width());
  }

  @Override
  public void close() {
    network.close();
  }
}
