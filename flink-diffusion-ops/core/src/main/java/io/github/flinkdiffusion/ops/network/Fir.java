/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;

/**
 * Resampling by the filter 1, 3, 3, 1 in both directions: with zeros outside of the image
 * (diffusers' FirDownsample2D and FirUpsample2D; StyleGAN's upfirdn2d), or with the image mirrored
 * at its edges (KDownsample2D and KUpsample2D), whose sides are then at least two.
 */
final class Fir {
  private static final float[] DOWN = {1 / 8f, 3 / 8f, 3 / 8f, 1 / 8f};

  /**
   * Filtering an image with zeros between its pixels by 1, 3, 3, 1 is filtering an image of
   * repeated pixels by 1, 2, 1.
   */
  private static final float[] UP = {1 / 4f, 2 / 4f, 1 / 4f};

  /** Of an image's pixel and the two beside it, for the two that become of it. */
  private static final float[][] UP_MIRRORED = {{1 / 4f, 3 / 4f, 0}, {0, 3 / 4f, 1 / 4f}};

  private Fir() {}

  /** [N,C,H,W] to [N,C,H/2,W/2]. */
  static Value halved(Method m, Value x, int channels) {
    return filtered(m, x, channels, "fir_down", DOWN, 2, 1);
  }

  /** [N,C,H,W] to [N,C,2H,2W]. */
  static Value doubled(Method m, Value x, int channels) {
    return filtered(m, m.upsampleNearest(x, 2), channels, "fir_up", UP, 1, 1);
  }

  /** [N,C,H,W] to [N,C,H/2,W/2]. */
  static Value halvedMirrored(Method m, Value x, int channels) {
    return filtered(m, m.padReflect(x, 1, 1, 1, 1), channels, "fir_down", DOWN, 2, 0);
  }

  /** [N,C,H,W] to [N,C,2H,2W]. */
  static Value doubledMirrored(Method m, Value x, int channels) {
    float[] squares = new float[4 * 9];
    for (int i = 0; i < squares.length; i++) {
      float[] rows = UP_MIRRORED[i / 18];
      float[] columns = UP_MIRRORED[i / 9 % 2];
      squares[i] = rows[i / 3 % 3] * columns[i % 3];
    }
    Value kernel = m.unflatten(m.graph().constant("fir_up_mirrored", squares), 0, 4, 1, 3, 3);
    Value planes = m.unsqueeze(m.flatten(m.padReflect(x, 1, 1, 1, 1), 0, 1), 1);
    // Four values of each pixel, which are put between those of its neighbors.
    Value four = m.conv2d(planes, m.castAs(kernel, x), null, 1, 0);
    Value between = m.permute(m.unflatten(four, 1, 2, 2), 0, 3, 1, 4, 2);
    return m.unflatten(m.flatten(m.flatten(between, 3, 4), 1, 2), 0, -1, channels);
  }

  private static Value filtered(
      Method m, Value x, int channels, String name, float[] taps, int stride, int padding) {
    int size = taps.length;
    float[] square = new float[size * size];
    for (int i = 0; i < square.length; i++) {
      square[i] = taps[i / size] * taps[i % size];
    }
    Value kernel = m.unflatten(m.graph().constant(name, square), 0, 1, 1, size, size);
    // Each channel for itself.
    Value planes = m.unsqueeze(m.flatten(x, 0, 1), 1);
    Value filtered = m.conv2d(planes, m.castAs(kernel, x), null, stride, padding);
    return m.unflatten(m.squeeze(filtered, 1), 0, -1, channels);
  }
}
