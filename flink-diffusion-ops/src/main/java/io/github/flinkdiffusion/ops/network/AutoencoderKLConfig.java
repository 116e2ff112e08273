package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import java.util.List;

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
 */
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
    boolean forceUpcast) {

  public AutoencoderKLConfig {
    blockOutChannels = List.copyOf(blockOutChannels);
  }

  private static final String DOWN = "DownEncoderBlock2D";
  private static final String UP = "UpDecoderBlock2D";

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static AutoencoderKLConfig from(Config config) {
    ConfigValues.requireAbsent(config, "latents_mean");
    ConfigValues.requireAbsent(config, "latents_std");
    List<Integer> channels =
        ConfigValues.boxed(config.integers("block_out_channels", new int[] {64}));
    List<String> down =
        ConfigValues.blockTypes(config, "down_block_types", List.of(DOWN), List.of(DOWN));
    List<String> up = ConfigValues.blockTypes(config, "up_block_types", List.of(UP), List.of(UP));
    if (down.size() != channels.size() || up.size() != channels.size()) {
      throw config.unsupported(
          "block_out_channels",
          channels,
          "one entry for each of down_block_types and up_block_types");
    }
    int groups = config.integer("norm_num_groups", 32);
    ConfigValues.requireDivisible(
        config, "block_out_channels", channels, groups, "norm_num_groups");
    return new AutoencoderKLConfig(
        config.integer("in_channels", 3),
        config.integer("out_channels", 3),
        channels,
        config.integer("layers_per_block", 1),
        config.integer("latent_channels", 4),
        groups,
        ConfigValues.activation(config, "act_fn", "silu"),
        config.flag("mid_block_add_attention", true),
        config.flag("use_quant_conv", true),
        config.flag("use_post_quant_conv", true),
        config.number("scaling_factor", 0.18215),
        config.number("shift_factor", 0),
        config.flag("force_upcast", true));
  }

  /** Pixels along one side of a latent's pixel ({@code vae_scale_factor}). */
  public int scaleFactor() {
    return 1 << (blockOutChannels.size() - 1);
  }
}
