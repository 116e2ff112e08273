package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;

/**
 * Resampling by the filter 1, 3, 3, 1 in both directions, with zeros outside of the image
 * (diffusers' FirDownsample2D and FirUpsample2D; StyleGAN's upfirdn2d).
 */
final class Fir {
  private static final float[] DOWN = {1 / 8f, 3 / 8f, 3 / 8f, 1 / 8f};

  /**
   * Filtering an image with zeros between its pixels by 1, 3, 3, 1 is filtering an image of
   * repeated pixels by 1, 2, 1.
   */
  private static final float[] UP = {1 / 4f, 2 / 4f, 1 / 4f};

  private Fir() {}

  /** [N,C,H,W] to [N,C,H/2,W/2]. */
  static Value halved(Method m, Value x, int channels) {
    return filtered(m, x, channels, "fir_down", DOWN, 2);
  }

  /** [N,C,H,W] to [N,C,2H,2W]. */
  static Value doubled(Method m, Value x, int channels) {
    return filtered(m, m.upsampleNearest(x, 2), channels, "fir_up", UP, 1);
  }

  private static Value filtered(
      Method m, Value x, int channels, String name, float[] taps, int stride) {
    int size = taps.length;
    float[] square = new float[size * size];
    for (int i = 0; i < square.length; i++) {
      square[i] = taps[i / size] * taps[i % size];
    }
    Value kernel = m.unflatten(m.graph().constant(name, square), 0, 1, 1, size, size);
    // Each channel for itself.
    Value planes = m.unsqueeze(m.flatten(x, 0, 1), 1);
    Value filtered = m.conv2d(planes, m.castAs(kernel, x), null, stride, 1);
    return m.unflatten(m.squeeze(filtered, 1), 0, -1, channels);
  }
}
