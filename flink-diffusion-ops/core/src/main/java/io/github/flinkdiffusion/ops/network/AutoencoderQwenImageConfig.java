/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' AutoencoderKLQwenImage config, as far as it is supported. Names are the config's.
 *
 * @param base {@code base_dim}
 * @param latentChannels {@code z_dim}
 * @param multipliers {@code dim_mult}
 * @param blocks {@code num_res_blocks}
 * @param inChannels {@code input_channels}
 * @param means {@code latents_mean}
 * @param deviations {@code latents_std}
 */
@Internal
public record AutoencoderQwenImageConfig(
    int base,
    int latentChannels,
    List<Integer> multipliers,
    int blocks,
    int inChannels,
    List<Double> means,
    List<Double> deviations) {
  private static final double[] MEANS = {
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517,
    -0.3632, -0.1922, -0.9497, 0.2503, -0.2921
  };
  private static final double[] DEVIATIONS = {
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579,
    1.6382, 1.1253, 2.8251, 1.9160
  };

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static AutoencoderQwenImageConfig from(Config config) {
    if (config.has("attn_scales") && config.node().get("attn_scales").size() > 0) {
      throw config.unsupported("attn_scales", config.node().get("attn_scales"), "[]");
    }
    List<Integer> multipliers =
        ConfigValues.boxed(config.integers("dim_mult", new int[] {1, 2, 4, 4}));
    int base = ConfigValues.positive(config, "base_dim", 96);
    if (multipliers.size() < 2 || multipliers.stream().anyMatch(m -> m < 1 || m > 64)) {
      throw config.unsupported("dim_mult", multipliers, "two numbers or more, 1 to 64");
    }
    boolean[] time = config.flagsOrOne("temperal_downsample", multipliers.size() - 1, true);
    if (time.length != multipliers.size() - 1) {
      throw config.unsupported(
          "temperal_downsample", Arrays.toString(time), "one less than dim_mult has");
    }
    if (base % 2 != 0) {
      throw config.unsupported("base_dim", base, "an even number");
    }
    int latent = ConfigValues.positive(config, "z_dim", 16);
    return new AutoencoderQwenImageConfig(
        base,
        latent,
        multipliers,
        ConfigValues.layers(config, "num_res_blocks", 2),
        ConfigValues.positive(config, "input_channels", 3),
        statistics(config, "latents_mean", MEANS, latent, false),
        statistics(config, "latents_std", DEVIATIONS, latent, true));
  }

  private static List<Double> statistics(
      Config config, String key, double[] absent, int channels, boolean positive) {
    double[] values = config.numbers(key, absent);
    boolean usable = values.length == channels;
    for (double value : values) {
      usable &= Double.isFinite(value) && (!positive || value > 0);
    }
    if (!usable) {
      throw config.unsupported(
          key, Arrays.toString(values), "one number for each of z_dim's " + channels);
    }
    return Arrays.stream(values).boxed().toList();
  }

  /** Pixels along one side of a latent's pixel. */
  public int scaleFactor() {
    return 1 << (multipliers.size() - 1);
  }
}
