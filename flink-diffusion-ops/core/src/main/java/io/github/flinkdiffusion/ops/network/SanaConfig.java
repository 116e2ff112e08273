/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' SanaTransformer2DModel config, as far as it is supported. Names are the config's.
 *
 * @param inChannels {@code in_channels}
 * @param outChannels {@code out_channels}
 * @param heads {@code num_attention_heads}
 * @param headSize {@code attention_head_dim}
 * @param layers {@code num_layers}
 * @param crossHeads {@code num_cross_attention_heads}
 * @param crossHeadSize {@code cross_attention_head_dim}
 * @param contextSize {@code cross_attention_dim}
 * @param textSize {@code caption_channels}
 * @param ratio {@code mlp_ratio}
 * @param attentionBias {@code attention_bias}
 * @param sampleSize {@code sample_size}
 * @param patchSize {@code patch_size}
 * @param normWeights {@code norm_elementwise_affine}
 * @param epsilon {@code norm_eps}
 * @param interpolation {@code interpolation_scale}, 0 where patches have no positions
 * @param headNorms whether {@code qk_norm} is {@code rms_norm_across_heads}
 * @param timeScale {@code timestep_scale}
 */
@Internal
public record SanaConfig(
    int inChannels,
    int outChannels,
    int heads,
    int headSize,
    int layers,
    int crossHeads,
    int crossHeadSize,
    int contextSize,
    int textSize,
    double ratio,
    boolean attentionBias,
    int sampleSize,
    int patchSize,
    boolean normWeights,
    double epsilon,
    double interpolation,
    boolean headNorms,
    double timeScale) {

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static SanaConfig from(Config config) {
    ConfigValues.require(config, "guidance_embeds", false);
    if (config.has("qk_norm")) {
      ConfigValues.require(config, "qk_norm", "rms_norm_across_heads");
    }
    int heads = ConfigValues.positive(config, "num_attention_heads", 70);
    int headSize = ConfigValues.positive(config, "attention_head_dim", 32);
    int crossHeads = ConfigValues.positive(config, "num_cross_attention_heads", 20);
    int crossHeadSize = ConfigValues.positive(config, "cross_attention_head_dim", 112);
    int context = ConfigValues.positive(config, "cross_attention_dim", 2240);
    int size = heads * headSize;
    if (crossHeads * crossHeadSize != size || context != size) {
      throw config.unsupported(
          "cross_attention_dim",
          context,
          "num_attention_heads x attention_head_dim (%d), as num_cross_attention_heads x cross_attention_head_dim"
              .formatted(size));
    }
    double interpolation =
        config.has("interpolation_scale") ? config.number("interpolation_scale", 1) : 0;
    if (interpolation != 0 && size % 4 != 0) {
      throw config.unsupported("interpolation_scale", interpolation, "null with this size");
    }
    int in = ConfigValues.positive(config, "in_channels", 32);
    return new SanaConfig(
        in,
        ConfigValues.positive(config, "out_channels", in),
        heads,
        headSize,
        ConfigValues.layers(config, "num_layers", 20),
        crossHeads,
        crossHeadSize,
        context,
        ConfigValues.positive(config, "caption_channels", 2304),
        config.number("mlp_ratio", 2.5),
        config.flag("attention_bias", false),
        ConfigValues.positive(config, "sample_size", 32),
        ConfigValues.positive(config, "patch_size", 1),
        config.flag("norm_elementwise_affine", false),
        config.number("norm_eps", 1e-6),
        interpolation,
        config.has("qk_norm"),
        config.number("timestep_scale", 1));
  }

  /** Of a token. */
  int size() {
    return heads * headSize;
  }
}
