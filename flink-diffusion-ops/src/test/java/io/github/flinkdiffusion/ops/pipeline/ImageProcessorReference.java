/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.weights.Config;
import java.util.function.Function;

/** Shows the reference page a reader of configs that only its own room sees. */
public final class ImageProcessorReference {
  /** Of the networks in the fixtures whose configs are tried. */
  private static final int SIDE = 32;

  private ImageProcessorReference() {}

  public static Function<Config, Object> reader() {
    return config -> ClipImageProcessor.from(config, SIDE);
  }
}
