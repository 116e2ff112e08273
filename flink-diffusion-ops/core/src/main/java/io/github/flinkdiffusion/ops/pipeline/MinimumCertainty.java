/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;

/**
 * How sure a sample must be of one pixel at least, so that it counts as having found something: the
 * key {@code minimum_certainty} of {@code model_index.json}. A network that was trained on pictures
 * of one thing sees it faintly in others, too. Where the thing is, its middle is certain; where
 * nothing is, no pixel is. The limit belongs to the weights, so it stands beside them and not in a
 * job's configuration.
 *
 * <p>A sample whose surest pixel is below the limit is 0 everywhere. Each sample of an ensemble is
 * looked at by itself, in the network's own size, so the limit does not depend on the picture's.
 *
 * @param limit of the surest pixel; minus infinity keeps all samples
 */
record MinimumCertainty(double limit) {
  private static final String KEY = "minimum_certainty";

  /**
   * What the model declares; by default all samples are kept.
   *
   * @throws IllegalConfigException for a limit that is not above 0.5 and at most 1: pixels below a
   *     half are outside anyway; and for classes other than a mask's two, whose samples do not say
   *     how sure they are
   */
  static MinimumCertainty of(Config index, ClassMap classes) {
    if (!index.has(KEY)) {
      return new MinimumCertainty(Double.NEGATIVE_INFINITY);
    }
    double limit = index.number(KEY);
    if (!(limit > 0.5 && limit <= 1)) {
      throw index.unsupported(KEY, limit, "a number above 0.5 and at most 1, or no such key");
    }
    if (classes.encoding() != ClassMap.Encoding.BINARY) {
      throw index.unsupported(KEY, limit, "no such key unless sample_target is mask");
    }
    return new MinimumCertainty(limit);
  }

  /**
   * The sample, or one that is 0 everywhere.
   *
   * @param sample how likely each pixel is inside, about 0..1
   */
  Raster applied(Raster sample) {
    for (float value : sample.data()) {
      // What is not a number stays, so that it is reported.
      if (value >= limit || Float.isNaN(value)) {
        return sample;
      }
    }
    return Raster.filled(sample.channels(), sample.height(), sample.width(), 0);
  }
}
