package io.github.flinkdiffusion.ops.network;

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

  /** Pixels along one side of a latent's pixel ({@code vae_scale_factor}). */
  public int scaleFactor() {
    return 1 << (blockOutChannels.size() - 1);
  }
}
