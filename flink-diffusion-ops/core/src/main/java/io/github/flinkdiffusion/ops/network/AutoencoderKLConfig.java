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
 * diffusers' AutoencoderKL config. Names are the config's.
 *
 * @param inChannels {@code in_channels}
 * @param outChannels {@code out_channels}
 * @param blockOutChannels {@code block_out_channels}
 * @param layersPerBlock {@code layers_per_block}
 * @param latentChannels {@code latent_channels}
 * @param groups {@code norm_num_groups}
 * @param activation {@code act_fn}
 * @param midBlockAttention {@code mid_block_add_attention}
 * @param quantConv {@code use_quant_conv}
 * @param postQuantConv {@code use_post_quant_conv}
 * @param scalingFactor {@code scaling_factor}: latents are encoded values times this
 * @param shiftFactor {@code shift_factor}, 0 when null
 * @param forceUpcast {@code force_upcast}: run in float32 even in a half precision pipeline
 * @param latentsMean {@code latents_mean} of each latent channel, empty when null. Pipelines that
 *     know it take latents apart with it; the network itself does not
 * @param latentsStd {@code latents_std} of each latent channel, empty when null
 */
@Internal
public record AutoencoderKLConfig(
    int inChannels,
    int outChannels,
    List<Integer> blockOutChannels,
    int layersPerBlock,
    int latentChannels,
    int groups,
    Activation activation,
    boolean midBlockAttention,
    boolean quantConv,
    boolean postQuantConv,
    double scalingFactor,
    double shiftFactor,
    boolean forceUpcast,
    List<Double> latentsMean,
    List<Double> latentsStd) {

  public AutoencoderKLConfig {
    blockOutChannels = List.copyOf(blockOutChannels);
    latentsMean = List.copyOf(latentsMean);
    latentsStd = List.copyOf(latentsStd);
  }

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static AutoencoderKLConfig from(Config config) {
    int latentChannels = ConfigValues.positive(config, "latent_channels", 4);
    int groups = config.integer("norm_num_groups", 32);
    return new AutoencoderKLConfig(
        ConfigValues.positive(config, "in_channels", 3),
        ConfigValues.positive(config, "out_channels", 3),
        ConfigValues.coderChannels(config, groups),
        ConfigValues.layers(config, "layers_per_block", 1),
        latentChannels,
        groups,
        ConfigValues.activation(config, "act_fn", "silu"),
        config.flag("mid_block_add_attention", true),
        config.flag("use_quant_conv", true),
        config.flag("use_post_quant_conv", true),
        config.number("scaling_factor", 0.18215),
        config.number("shift_factor", 0),
        config.flag("force_upcast", true),
        perChannel(config, "latents_mean", latentChannels),
        perChannel(config, "latents_std", latentChannels));
  }

  private static List<Double> perChannel(Config config, String key, int channels) {
    double[] values = config.numbers(key, new double[0]);
    if (values.length != 0 && values.length != channels) {
      throw config.unsupported(
          key,
          Arrays.toString(values),
          "one number for each of latent_channels (" + channels + ")");
    }
    return Arrays.stream(values).boxed().toList();
  }

  /** Pixels along one side of a latent's pixel ({@code vae_scale_factor}). */
  public int scaleFactor() {
    return 1 << (blockOutChannels.size() - 1);
  }
}
