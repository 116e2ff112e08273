/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' PixArtTransformer2DModel config, as far as it is supported; published folders name the
 * class Transformer2DModel. Names are the config's.
 *
 * @param heads {@code num_attention_heads}
 * @param headSize {@code attention_head_dim}
 * @param inChannels {@code in_channels}
 * @param outChannels {@code out_channels}, twice as many where the network learned a variance
 * @param layers {@code num_layers}
 * @param contextSize {@code cross_attention_dim}
 * @param sampleSize {@code sample_size}: both sides of the latents that it was trained on
 * @param patchSize {@code patch_size}
 * @param attentionBias {@code attention_bias}
 * @param epsilon {@code norm_eps}
 * @param interpolation {@code interpolation_scale}
 * @param sized {@code use_additional_conditions}: whether it is conditioned on the image's sides
 * @param textSize {@code caption_channels}
 */
@Internal
public record PixArtConfig(
    int heads,
    int headSize,
    int inChannels,
    int outChannels,
    int layers,
    int contextSize,
    int sampleSize,
    int patchSize,
    boolean attentionBias,
    double epsilon,
    double interpolation,
    boolean sized,
    int textSize) {

  /** The {@code sample_size} whose pipelines give the image's sides. */
  private static final int SIZED = 128;

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static PixArtConfig from(Config config) {
    ConfigValues.require(config, "activation_fn", "gelu-approximate");
    ConfigValues.require(config, "norm_type", "ada_norm_single");
    ConfigValues.require(config, "norm_elementwise_affine", false);
    ConfigValues.require(config, "upcast_attention", false);
    ConfigValues.require(config, "attention_type", "default");
    ConfigValues.require(config, "use_linear_projection", false);
    ConfigValues.require(config, "only_cross_attention", false);
    ConfigValues.require(config, "double_self_attention", false);
    int heads = ConfigValues.positive(config, "num_attention_heads", 16);
    int headSize = ConfigValues.positive(config, "attention_head_dim", 72);
    int sampleSize = ConfigValues.positive(config, "sample_size", SIZED);
    int patch = ConfigValues.positive(config, "patch_size", 2);
    long size = (long) heads * headSize;
    if (size % 4 != 0 || size > ConfigValues.LARGEST_SIZE) {
      throw config.unsupported(
          "attention_head_dim",
          headSize,
          "a size that makes a reasonable multiple of 4 with num_attention_heads (" + heads + ")");
    }
    if (sampleSize % patch != 0) {
      throw config.unsupported(
          "patch_size", patch, "a divisor of sample_size (" + sampleSize + ")");
    }
    // Null stands for the default here.
    boolean sized =
        config.has("use_additional_conditions")
            ? config.flag("use_additional_conditions", false)
            : sampleSize == SIZED;
    // The pipelines give the sides of the largest models alone, whatever else the config says.
    if (sized && sampleSize != SIZED || sized && size % 3 != 0) {
      throw config.unsupported(
          "use_additional_conditions",
          true,
          "false, or true with a sample_size of 128 and a size of tokens that 3 divides");
    }
    if (!config.has("caption_channels")) {
      throw config.unsupported("caption_channels", null, "the text encoder's size");
    }
    int in = ConfigValues.positive(config, "in_channels", 4);
    return new PixArtConfig(
        heads,
        headSize,
        in,
        ConfigValues.positive(config, "out_channels", in),
        ConfigValues.layers(config, "num_layers", 28),
        ConfigValues.positive(config, "cross_attention_dim", 1152),
        sampleSize,
        patch,
        config.flag("attention_bias", true),
        config.number("norm_eps", 1e-6),
        config.has("interpolation_scale")
            ? config.number("interpolation_scale", 1)
            : Math.max(sampleSize / 64, 1),
        sized,
        ConfigValues.positive(config, "caption_channels", 4096));
  }

  /** Of a token. */
  int size() {
    return heads * headSize;
  }
}
