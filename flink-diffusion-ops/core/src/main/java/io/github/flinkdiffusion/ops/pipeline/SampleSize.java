/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.weights.Config;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What a denoising network was trained on: {@code sample_size} of its config, one number for both
 * sides or a list of height and width.
 *
 * @param height in pixels of the sample
 * @param width in pixels of the sample
 */
record SampleSize(int height, int width) {
  private static final String KEY = "sample_size";

  /** Largest side that leaves room to multiply. */
  private static final int LARGEST = 1 << 20;

  /** What the reference makes of a size that early versions wrote too small. */
  private static final int CORRECTED = 64;

  private static final Pattern VERSION = Pattern.compile("(\\d{1,6})(?:\\.(\\d{1,6}))?.*");

  /**
   * @param absent both sides where the config does not say
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for sizes that are none
   */
  static SampleSize of(Config config, int absent) {
    int[] sides = config.integersOrOne(KEY, 2, absent);
    for (int side : sides) {
      if (side < 1 || side > LARGEST) {
        throw config.unsupported(
            KEY,
            config.node().get(KEY),
            "1 to %d, or a list of height and width".formatted(LARGEST));
      }
    }
    return new SampleSize(sides[0], sides[1]);
  }

  /**
   * The same with the correction that diffusers' pipelines of Stable Diffusion 1.x and 2.x make: a
   * single number below 64 that a version before 0.9 wrote counts as 64.
   */
  static SampleSize corrected(Config config, int absent) {
    SampleSize size = of(config, absent);
    boolean single = config.has(KEY) && config.node().get(KEY).isNumber();
    return single && size.height < CORRECTED && isBefore09(config)
        ? new SampleSize(CORRECTED, CORRECTED)
        : size;
  }

  private static boolean isBefore09(Config config) {
    if (!config.has("_diffusers_version") || !config.node().get("_diffusers_version").isTextual()) {
      return false;
    }
    Matcher version = VERSION.matcher(config.string("_diffusers_version"));
    if (!version.matches()) {
      return false;
    }
    int minor = version.group(2) == null ? 0 : Integer.parseInt(version.group(2));
    return Integer.parseInt(version.group(1)) == 0 && minor < 9;
  }

  /** The smaller side, for parts, which are squares. */
  int smallerSide() {
    return Math.min(height, width);
  }
}
