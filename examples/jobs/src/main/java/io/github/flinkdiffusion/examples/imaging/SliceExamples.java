/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.List;
import java.util.random.RandomGenerator;

/** Slices that are trained on, each shown differently every time. */
final class SliceExamples implements DenoiserTraining.Examples {
  private final List<Raster> slices;
  private final List<Raster> masks;

  SliceExamples(HeadScan scan) {
    this.slices = HeadScan.trainedOn().stream().map(scan::slice).toList();
    this.masks = HeadScan.trainedOn().stream().map(scan::mask).toList();
  }

  @Override
  public int targetChannels() {
    return 1;
  }

  @Override
  public int conditionChannels() {
    return 1;
  }

  @Override
  public int height() {
    return MiniBrainModel.HEIGHT;
  }

  @Override
  public int width() {
    return MiniBrainModel.WIDTH;
  }

  @Override
  public void draw(
      RandomGenerator random, float[] target, int targetAt, float[] condition, int conditionAt) {
    int i = random.nextInt(slices.size());
    SliceVariation.Pair pair =
        SliceVariation.draw(random).apply(slices.get(i), masks.get(i), height(), width(), random);
    for (int j = 0; j < height() * width(); j++) {
      target[targetAt + j] = 2 * pair.mask().data()[j] - 1;
      condition[conditionAt + j] = 2 * pair.slice().data()[j] - 1;
    }
  }
}
