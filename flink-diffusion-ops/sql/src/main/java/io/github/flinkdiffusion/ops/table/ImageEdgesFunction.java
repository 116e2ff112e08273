/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.image.CannyEdges;
import io.github.flinkdiffusion.ops.image.PngCodec;
import org.apache.flink.annotation.Internal;

/** {@code IMAGE_EDGES(image [, low, high])}: the picture's edges, white on black, as a PNG file. */
@Internal
public final class ImageEdgesFunction extends PlainFunction {
  private static final long serialVersionUID = 1L;

  /** Of diffusers' examples with ControlNets. */
  private static final double LOW = 100;

  private static final double HIGH = 200;

  ImageEdgesFunction(boolean failing) {
    super("IMAGE_EDGES", failing);
  }

  public byte[] eval(byte[] image) {
    return eval(image, LOW, HIGH);
  }

  public byte[] eval(byte[] image, Double low, Double high) {
    if (image == null || low == null || high == null) {
      return null;
    }
    return valueOrNull(() -> PngCodec.encode(CannyEdges.of(read(image), low, high)));
  }
}
