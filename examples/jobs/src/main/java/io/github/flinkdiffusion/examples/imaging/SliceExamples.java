/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.List;
import java.util.random.RandomGenerator;

/**
 * Slices that are trained on, each shown differently every time, and pictures without a brain: what
 * is no head, and heads whose brain is taken out.
 */
final class SliceExamples implements DenoiserTraining.Examples {
  private static final double NO_BRAIN_SHARE = 0.05;

  /**
   * Of the heads, from the lowest quarter of the slices, where little brain is between much else.
   */
  private static final double LOWEST_SHARE = 0.3;

  private final List<Raster> slices;
  private final List<Raster> masks;
  private final NonHeads nonHeads;
  private final double noHeadShare;
  private final double otherShare;

  /**
   * @param noHeadShare of the examples that are no head
   * @param otherShare of the slices that are made to look like another head's
   */
  SliceExamples(HeadScan scan, NonHeads nonHeads, double noHeadShare, double otherShare) {
    if (!(noHeadShare >= 0 && noHeadShare <= 1 - NO_BRAIN_SHARE)
        || !(otherShare >= 0 && otherShare <= 1)) {
      throw new IllegalArgumentException(
          "The shares of non-heads and other heads are %s and %s; expected 0 to %s and 0 to 1."
              .formatted(noHeadShare, otherShare, 1 - NO_BRAIN_SHARE));
    }
    this.noHeadShare = noHeadShare;
    this.otherShare = otherShare;
    this.nonHeads = nonHeads;
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
    SliceVariation.Pair source = source(random);
    SliceVariation.Pair pair =
        SliceVariation.draw(random).apply(source.slice(), source.mask(), height(), width(), random);
    for (int j = 0; j < height() * width(); j++) {
      target[targetAt + j] = 2 * pair.mask().data()[j] - 1;
      condition[conditionAt + j] = 2 * pair.slice().data()[j] - 1;
    }
  }

  private SliceVariation.Pair source(RandomGenerator random) {
    double kind = random.nextDouble();
    if (kind < noHeadShare) {
      Raster drawn = nonHeads.draw(random, HeadScan.HEIGHT, HeadScan.WIDTH);
      return new SliceVariation.Pair(drawn, Raster.filled(1, drawn.height(), drawn.width(), 0));
    }
    int i = random.nextInt(slices.size());
    if (random.nextDouble() < LOWEST_SHARE) {
      i /= 4;
    }
    SliceVariation.Pair pair = new SliceVariation.Pair(slices.get(i), masks.get(i));
    if (random.nextDouble() < otherShare) {
      pair = OtherHead.draw(random).apply(pair.slice(), pair.mask());
    }
    return kind < noHeadShare + NO_BRAIN_SHARE ? emptied(pair, random.nextFloat()) : pair;
  }

  /** A head that has nothing, or something even, where its brain was. */
  private static SliceVariation.Pair emptied(SliceVariation.Pair pair, float value) {
    Raster slice = pair.slice();
    float fill = value < 0.5f ? 0 : value - 0.5f;
    float[] data = slice.data().clone();
    for (int i = 0; i < data.length; i++) {
      float inside = pair.mask().data()[i];
      data[i] = (1 - inside) * data[i] + inside * fill;
    }
    return new SliceVariation.Pair(
        new Raster(1, slice.height(), slice.width(), data),
        Raster.filled(1, slice.height(), slice.width(), 0));
  }
}
