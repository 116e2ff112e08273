/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.ImageMetadata;
import java.util.BitSet;
import java.util.Optional;

/**
 * The decisions about a large picture, kept as they come from its top: a byte a pixel for the
 * class, and one for its score, a 255th part exact.
 */
final class DecisionRows {
  /** More than these are not kept: 128 MiB with their scores, as of 8,192 x 8,192 pixels. */
  static final long MOST_PIXELS = 64 << 20;

  private static final double SCORES = 255;

  private final int width;
  private final int height;
  private final byte[] numbers;
  private final Optional<byte[]> scores;
  private final BitSet noData = new BitSet();
  private int filled;

  /**
   * @param width of the picture, in pixels
   * @param height of the picture
   * @param scored whether scores say anything
   */
  DecisionRows(int width, int height, boolean scored) {
    this.width = width;
    this.height = height;
    this.numbers = new byte[Math.multiplyExact(width, height)];
    this.scores = scored ? Optional.of(new byte[numbers.length]) : Optional.empty();
  }

  /**
   * The next rows.
   *
   * @param missing their pixels without data
   */
  void append(Decision rows, BitSet missing) {
    for (int i = missing.nextSetBit(0); i >= 0; i = missing.nextSetBit(i + 1)) {
      noData.set(filled + i);
    }
    byte[] next = rows.classes().numbers();
    System.arraycopy(next, 0, numbers, filled, next.length);
    if (scores.isPresent()) {
      float[] score = rows.score().data();
      for (int i = 0; i < score.length; i++) {
        scores.get()[filled + i] = (byte) Math.round(score[i] * SCORES);
      }
    }
    filled += next.length;
  }

  /** What is in the picture when all rows have come. */
  Regions find(RegionFinder finder, ImageMetadata metadata) {
    return finder.find(
        new ClassRaster(width, height, numbers),
        noData,
        scores.map(kept -> pixel -> (kept[pixel] & 0xff) / SCORES),
        metadata);
  }
}
