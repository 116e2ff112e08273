/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' VQModel config. Names are the config's.
 *
 * @param inChannels {@code in_channels}
 * @param outChannels {@code out_channels}
 * @param blockOutChannels {@code block_out_channels}
 * @param layersPerBlock {@code layers_per_block}
 * @param latentChannels {@code latent_channels}
 * @param codebookSize {@code num_vq_embeddings}
 * @param codeChannels {@code vq_embed_dim}, by default the latent's channels
 * @param groups {@code norm_num_groups}
 * @param activation {@code act_fn}
 * @param midBlockAttention {@code mid_block_add_attention}
 * @param scalingFactor {@code scaling_factor}
 */
@Internal
public record VQModelConfig(
    int inChannels,
    int outChannels,
    List<Integer> blockOutChannels,
    int layersPerBlock,
    int latentChannels,
    int codebookSize,
    int codeChannels,
    int groups,
    Activation activation,
    boolean midBlockAttention,
    double scalingFactor) {

  public VQModelConfig {
    blockOutChannels = List.copyOf(blockOutChannels);
  }

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static VQModelConfig from(Config config) {
    ConfigValues.require(config, "norm_type", "group");
    ConfigValues.require(config, "lookup_from_codebook", false);
    int groups = config.integer("norm_num_groups", 32);
    int latentChannels = ConfigValues.positive(config, "latent_channels", 3);
    return new VQModelConfig(
        ConfigValues.positive(config, "in_channels", 3),
        ConfigValues.positive(config, "out_channels", 3),
        ConfigValues.coderChannels(config, groups),
        ConfigValues.layers(config, "layers_per_block", 1),
        latentChannels,
        ConfigValues.positive(config, "num_vq_embeddings", 256),
        ConfigValues.positive(config, "vq_embed_dim", latentChannels),
        groups,
        ConfigValues.activation(config, "act_fn", "silu"),
        config.flag("mid_block_add_attention", true),
        config.number("scaling_factor", 0.18215));
  }

  /** Pixels along one side of a latent's pixel. */
  public int scaleFactor() {
    return 1 << (blockOutChannels.size() - 1);
  }
}
